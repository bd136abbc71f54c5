"""The threads that run waiting requests in batches.

No timer: a free worker takes what is waiting.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence

from agent.batching.packing import BatchLimits
from agent.batching.request_queue import ReleasedBatch, RequestQueue
from agent.batching.requests import (
    BatchReport,
    CompletedRun,
    Outcome,
    Part,
    QueuedRequest,
    padded_tokens_of,
    rows_of,
    tokens_of,
)
from agent.engines.contract import Program
from vaccel_rpc.errors import Internal, ResourceExhausted, RpcError, Unavailable

_log = logging.getLogger("agent.batching")

#: Characters of an engine's exception that are kept.
_MAX_REASON = 500
#: The weight of the newest batch in the average time of a text.
_SMOOTHING = 0.1


class Batcher:
    """A bounded queue and the threads that run it. ``observe`` is called with every batch that ran.

    ``max_queue``, ``max_queue_tokens``: texts that may wait, and tokens in them. Programs share the
    workers by the time that their batches take.
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
    ) -> None:
        self._workers, self._observe = workers, observe
        self._loop = asyncio.get_running_loop()
        self._queue = RequestQueue(
            limits, max_texts=max_queue, max_tokens=max_queue_tokens, max_delay=max_delay, wait=lambda: self.wait
        )
        self._running = self._running_requests = 0
        self._text_seconds = 0.01
        self._ended = False
        self._lock = threading.Lock()
        # A condition for each worker: the first idle one is woken, so that a lone request always
        # runs in the same thread.
        self._wakeups = [threading.Condition(self._lock) for _ in range(workers)]
        self._idle: set[int] = set()
        for number in range(workers):
            threading.Thread(target=self._work, args=(number,), name=f"worker {number}", daemon=True).start()

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

    def largest_batch(self, program: Program, length: int) -> int:
        """The rows of the largest useful batch of rows of this length; at least 1."""
        return self._queue.largest_batch(program, length)

    async def run(self, program: Program, parts: Sequence[Part], deadline: float | None, model: str = "") -> list[CompletedRun]:
        """The program's outputs for each part of one request.

        Cancelling removes the parts that still wait from the queue. Raises `ResourceExhausted` at
        once where the queue is full, or the first part's failure.
        """
        now = time.monotonic()
        requests = [QueuedRequest(inputs, shape, deadline, now, self._loop.create_future()) for inputs, shape in parts]
        with self._lock:
            if self._ended:
                raise Unavailable("the agent is shutting down")
            self._queue.add(program, requests, model)
            self._wake_one()
        try:
            return [await request.future for request in requests]
        except BaseException:
            with self._lock:
                self._queue.remove(program, requests)
            for request in requests:
                # Also of one that has failed: asyncio would log that its exception was never
                # retrieved.
                request.future.cancel()
            raise

    def close(self) -> None:
        """Fails what is waiting; batches that run now may finish."""
        with self._lock:
            self._ended = True
            removed = self._queue.clear()
            for wakeup in self._wakeups:
                wakeup.notify()
        for request in removed:
            request.resolve(Unavailable("the agent is shutting down"))

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
            self._running_requests += len(batch.requests)
            alone = number == 0 and self._running == 1 and not self._queue.ready
            if self._queue.ready:
                self._wake_one()
        began = time.monotonic()
        outcomes = self._outcomes(batch, batch.requests, began, alone=alone)
        seconds = time.monotonic() - began
        with self._lock:
            self._running -= 1
            self._running_requests -= len(batch.requests)
            batch.queue.used += seconds
            self._text_seconds += _SMOOTHING * (seconds / rows_of(batch.requests) - self._text_seconds)
        self._loop.call_soon_threadsafe(self._deliver, batch, outcomes, began, seconds)
        return True

    def _wait_for_batch(self, number: int) -> ReleasedBatch | None:
        """Waits for a batch and takes it out of the queue; None at the end."""
        while not self._ended:
            batch = self._queue.next_batch(self._workers - self._running, time.monotonic()) if self._queue.ready else None
            if isinstance(batch, ReleasedBatch):
                return batch
            self._idle.add(number)
            self._wakeups[number].wait(batch)
            self._idle.discard(number)
        return None

    def _outcomes(self, batch: ReleasedBatch, requests: list[QueuedRequest], released: float, *, alone: bool) -> list[Outcome]:
        """Each request's outcome.

        A batch that fails is run again: in halves where memory ran out, else request by request, so
        that only the bad request fails, or the one for which there is no memory even alone.
        """
        try:
            outputs = batch.program.run([request.inputs for request in requests], alone=alone)
            rows, split = rows_of(requests), time.monotonic()
            return [
                CompletedRun(tensors, request.arrived, released, outputs, split, rows)
                for request, tensors in zip(requests, outputs.outputs, strict=True)
            ]
        except Exception as error:  # noqa: BLE001 every failure must reach the request's caller
            failure = _as_rpc_error(error)
            # The error's frames refer to the batch and to each other: inputs and program would wait
            # for the garbage collector.
            failure.__traceback__ = failure.__context__ = None
        pieces = [[request] for request in requests]
        if isinstance(failure, ResourceExhausted) and failure.memory:
            with self._lock:
                batch.queue.lower_limit(requests)
            middle = (len(requests) + 1) // 2
            pieces = [requests[:middle], requests[middle:]]
        if len(requests) == 1:
            return [failure]
        _log.debug("A batch of %d failed; it is run again in %d pieces", len(requests), len(pieces))
        return [outcome for piece in pieces for outcome in self._outcomes(batch, piece, released, alone=False)]

    def _deliver(self, batch: ReleasedBatch, outcomes: list[Outcome], began: float, seconds: float) -> None:
        for request, outcome in zip(batch.requests, outcomes, strict=True):
            request.resolve(outcome)
        # After the callers, which go on first.
        self._loop.call_soon(self._observe, _report(batch, began, seconds))


def _report(batch: ReleasedBatch, began: float, seconds: float) -> BatchReport:
    rows, tokens = rows_of(batch.requests), tokens_of(batch.requests)
    waited = [began - request.arrived for request in batch.requests]
    return BatchReport(batch.queue.model, rows, tokens, padded_tokens_of(batch.requests) - tokens, batch.reason, waited, seconds)


def _as_rpc_error(error: Exception) -> RpcError:
    if isinstance(error, RpcError):
        return error
    return Internal(f"the run failed: {type(error).__name__}: {error}"[:_MAX_REASON])
