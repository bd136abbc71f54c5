"""The threads that run waiting requests in batches.

No timer: a free worker takes what is waiting.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import threading
import time
from collections.abc import Callable, Sequence

from agent.batching.held import HeldWorker
from agent.batching.request_queue import ReleasedBatch, RequestQueue
from agent.batching.requests import (
    BatchReport,
    CompletedRun,
    Outcome,
    Part,
    QueuedRequest,
    as_rpc_error,
    halves_of,
    not_to_be_repeated,
    rows_of,
)
from agent.engines.contract import DeviceLost, Program
from agent.packing import BatchLimits
from vaccel_rpc.errors import Internal, ResourceExhausted, Unavailable

_log = logging.getLogger("agent.batching")

_ENDING = "the agent is shutting down"
#: The weight of the newest batch in the average time of a text.
_SMOOTHING = 0.1
#: Seconds after a batch has failed in which its requests are run again: longer than a client's model
#: may run (30 s), so that one request that hangs leaves time for others.
AGAIN_S = 40.0


class Batcher:
    """A bounded queue and the threads that run it. ``observe`` is called with every batch that ran.

    ``max_queue``, ``max_queue_tokens``: texts that may wait, and tokens in them. Programs share the
    workers by the time that their batches take. ``on_lost`` is called, in the event loop, when an
    engine's device is lost; nothing runs from then on.
    """

    def __init__(
        self,
        workers: int,
        limits: BatchLimits,
        *,
        max_queue: int,
        max_queue_tokens: int,
        max_delay: float,
        observe: Callable[[BatchReport], None],
        on_lost: Callable[[DeviceLost], None] = lambda _: None,
    ) -> None:
        self._workers, self._observe, self._on_lost = workers, observe, on_lost
        self._loop = asyncio.get_running_loop()
        self._queue = RequestQueue(
            limits, max_texts=max_queue, max_tokens=max_queue_tokens, max_delay=max_delay, wait=lambda: self.wait
        )
        self._running = self._running_requests = 0
        self._text_seconds = 0.01
        #: Why nothing more is accepted.
        self._refusal: str | None = None
        self._lost: DeviceLost | None = None
        self._held: list[HeldWorker | None] = [None] * workers
        self._last_end = time.monotonic()
        self._lock = threading.Lock()
        # A condition for each worker: the first idle one is woken, so that a lone request always
        # runs in the same thread.
        self._wakeups = [threading.Condition(self._lock) for _ in range(workers)]
        self._idle: set[int] = set()
        self._threads = [
            threading.Thread(target=self._work, args=(number,), name=f"worker {number}", daemon=True) for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Requests in the queue; of one that was divided each part."""
        with self._lock:
            return len(self._queue)

    @property
    def texts(self) -> int:
        """Texts in the queue."""
        return self._queue.texts

    @property
    def tokens(self) -> int:
        """Tokens in the queue."""
        return self._queue.tokens

    @property
    def wait(self) -> float:
        """The estimated seconds for which a request that arrives now will wait."""
        return self._text_seconds * self._queue.texts / self._workers

    @property
    def running(self) -> int:
        """Batches that run now."""
        return self._running

    @property
    def has_spare_worker(self) -> bool:
        """Whether a worker is free and nothing waits."""
        return self._running < self._workers and not self._queue.texts

    @property
    def running_requests(self) -> int:
        """Requests in the batches that run now; of one that was divided each part that runs."""
        return self._running_requests

    @property
    def held(self) -> list[HeldWorker]:
        """The workers that are in a program's run."""
        return [held for held in self._held if held]

    @property
    def working(self) -> bool:
        """Whether a run goes on that is expected to return."""
        return any(not held.given_up for held in self.held)

    @property
    def ended_workers(self) -> list[str]:
        """The workers whose threads have ended, though the batcher has not."""
        return [] if self._refusal else [thread.name for thread in self._threads if not thread.is_alive()]

    @property
    def idle(self) -> float:
        """The seconds for which nothing has run or waited; 0 while something does."""
        return 0.0 if self._running or self._queue.ready else time.monotonic() - self._last_end

    def largest_batch(self, program: Program, length: int) -> int:
        """The rows of the largest useful batch of rows of this length; at least 1."""
        return self._queue.largest_batch(program, length)

    async def run(
        self, program: Program, parts: Sequence[Part], deadline: float | None, model: str = "", *, counted: bool = True
    ) -> list[CompletedRun]:
        """The program's outputs for each part of one request.

        ``counted``: whether it is a client's; metrics say nothing of any other.

        Cancelling removes the parts that still wait from the queue. Raises `ResourceExhausted` at
        once where the queue is full, or the first part's failure.
        """
        now = time.monotonic()
        requests = [QueuedRequest(inputs, shape, deadline, now, self._loop.create_future(), counted) for inputs, shape in parts]
        with self._lock:
            if self._refusal:
                raise Unavailable(self._refusal)
            self._queue.add(program, requests, model)
            self._wake_one()
        try:
            return [await request.future for request in requests]
        except BaseException as error:
            with self._lock:
                self._queue.remove(program, requests)
            failure = not_to_be_repeated(requests) if isinstance(error, Unavailable) else None
            for request in requests:
                # Also of one that has failed: asyncio would log that its exception was never
                # retrieved.
                request.future.cancel()
            if failure:
                raise failure from None
            raise

    def close(self, reason: str = _ENDING) -> None:
        """Fails what is waiting with `Unavailable`, for that reason; batches that run now may finish."""
        with self._lock:
            self._refusal = reason
            removed = self._queue.clear()
            for wakeup in self._wakeups:
                wakeup.notify()
        for request in removed:
            request.resolve(Unavailable(reason))

    def give_up(self, held: HeldWorker, reason: str) -> None:
        """Answers the requests of a run that does not return with `Internal`: no other agent is to run them.

        The other requests of its batch get `Unavailable`, and may be run again elsewhere.
        """
        held.given_up = True
        for request in held.batch.requests:
            request.resolve(Internal(reason, errno=errno.ETIME) if request in held.requests else Unavailable(reason))

    def _wake_one(self) -> None:
        if self._idle:
            self._wakeups[min(self._idle)].notify()

    def _work(self, number: int) -> None:
        while self._run_next(number):
            pass

    def _run_next(self, number: int) -> bool:
        """Waits for a batch and runs it; False at the end.

        A function of its own, so that no reference to a batch outlives it: its program may be
        unloaded.
        """
        with self._lock:
            batch = self._wait_for_batch(number)
            if batch is None:
                return False
            self._running += 1
            counted = len(batch.requests) if batch.counted else 0
            self._running_requests += counted
            alone = number == 0 and self._running == 1 and not self._queue.ready
            if self._queue.ready:
                self._wake_one()
        began = time.monotonic()
        outcomes = self._outcomes(number, batch, batch.requests, began, alone=alone)
        self._held[number] = None
        self._last_end = time.monotonic()
        seconds = self._last_end - began
        with self._lock:
            self._running -= 1
            self._running_requests -= counted
            batch.queue.used += seconds
            self._text_seconds += _SMOOTHING * (seconds / rows_of(batch.requests) - self._text_seconds)
        self._loop.call_soon_threadsafe(self._deliver, batch, outcomes, began, seconds)
        if self._lost:
            self._loop.call_soon_threadsafe(self._on_lost, self._lost)
        return True

    def _wait_for_batch(self, number: int) -> ReleasedBatch | None:
        """Waits for a batch and takes it out of the queue; None at the end."""
        while not self._refusal:
            batch = self._queue.next_batch(self._workers - self._running, time.monotonic()) if self._queue.ready else None
            if isinstance(batch, ReleasedBatch):
                return batch
            self._idle.add(number)
            self._wakeups[number].wait(batch)
            self._idle.discard(number)
        return None

    def _outcomes(
        self, number: int, batch: ReleasedBatch, requests: list[QueuedRequest], released: float, *, alone: bool
    ) -> list[Outcome]:
        """Each request's outcome, on the worker of that number.

        A batch that fails is run again: in halves where memory ran out, else request by request, so
        that only the bad request fails, or the one for which there is no memory even alone.
        """
        if self._lost:
            return [Unavailable(self._lost.failure.message) for _ in requests]
        self._held[number] = HeldWorker(number, time.monotonic(), batch, requests)
        try:
            outputs = batch.program.run([request.inputs for request in requests], alone=alone)
            rows, split = rows_of(requests), time.monotonic()
            return [
                CompletedRun(tensors, request.arrived, released, outputs, split, rows)
                for request, tensors in zip(requests, outputs.outputs, strict=True)
            ]
        except DeviceLost as error:
            error.__traceback__ = None
            with self._lock:
                # No worker takes anything from now on.
                self._lost, self._refusal = error, error.failure.message
            return [error.failure for _ in requests]
        except BaseException as error:  # noqa: BLE001 every failure must reach the request's caller, even a model's SystemExit
            failure = as_rpc_error(error)
            # The error's frames refer to the batch and to each other: inputs and program would wait
            # for the garbage collector.
            failure.__traceback__ = failure.__context__ = None
        pieces = [[request] for request in requests]
        if isinstance(failure, ResourceExhausted) and failure.memory:
            with self._lock:
                batch.queue.lower_limit(requests)
            pieces = halves_of(requests)
        if len(requests) == 1:
            return [failure]
        _log.debug("A batch of %d failed; it is run again in %d pieces", len(requests), len(pieces))
        batch.again_until = batch.again_until or time.monotonic() + AGAIN_S
        return [outcome for piece in pieces for outcome in self._again(number, batch, piece, released)]

    def _again(self, number: int, batch: ReleasedBatch, piece: list[QueuedRequest], released: float) -> list[Outcome]:
        """The outcomes of a piece of a batch that has failed, of which `ReleasedBatch.not_run_again` leaves some out."""
        outcomes: dict[QueuedRequest, Outcome] = {**batch.not_run_again(piece, time.monotonic())}
        if waiting := [request for request in piece if request not in outcomes]:
            outcomes |= zip(waiting, self._outcomes(number, batch, waiting, released, alone=False), strict=True)
        return [outcomes[request] for request in piece]

    def _deliver(self, batch: ReleasedBatch, outcomes: list[Outcome], began: float, seconds: float) -> None:
        for request, outcome in zip(batch.requests, outcomes, strict=True):
            request.resolve(outcome)
        # After the callers, which go on first.
        if batch.counted:
            self._loop.call_soon(self._observe, batch.report(began, seconds))
