"""Which waiting requests run next, together. No timer: a worker that is free takes what is waiting."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from agent.packing import Limits, Reason, Shape, pack, why
from vaccel_rpc.errors import Internal, ResourceExhausted, RpcError, Unavailable
from vaccel_rpc.tensors import Tensor

_log = logging.getLogger("agent.batcher")


@dataclass(frozen=True, slots=True)
class Batch:
    """Each request's outputs, and when the model itself began and ended (monotonic seconds)."""

    outputs: list[list[Tensor]]
    began: float
    ended: float


@dataclass(frozen=True, slots=True)
class Done:
    """A request's outputs. Monotonic seconds: it ``arrived``, its batch of ``rows`` was ``released``, the model (``batch``) ran,
    and what it made was ``split``.
    """

    outputs: list[Tensor]
    arrived: float
    released: float
    batch: Batch
    split: float
    rows: int


@dataclass(frozen=True, slots=True)
class Report:
    """A batch that ran: ``tokens`` in it and ``padding`` added to them, seconds that each request ``waited`` and that it took."""

    model: str
    rows: int
    tokens: int
    padding: int
    reason: Reason
    waited: list[float]
    seconds: float


class Runnable(Protocol):
    """A program that runs requests together."""

    def run(self, requests: Sequence[Sequence[Tensor]], *, alone: bool) -> Batch:
        """Each request's outputs. ``alone``: nothing else runs now, so it may use every core. Raises `RpcError`."""


@dataclass(eq=False, slots=True)
class _Request:
    program: Runnable
    inputs: Sequence[Tensor]
    shape: Shape
    deadline: float | None
    arrived: float
    done: asyncio.Future[Done]
    model: str


class Batcher:
    """A bounded queue and the threads that run it. ``observe`` is told of every batch that ran."""

    def __init__(
        self, workers: int, limits: Limits, *, max_queue: int, max_delay: float, observe: Callable[[Report], None]
    ) -> None:
        self._limits, self._max_queue, self._max_delay, self._observe = limits, max_queue, max_delay, observe
        self._loop = asyncio.get_running_loop()
        self._waiting: list[_Request] = []
        self._running = 0
        self._workers = workers
        self._request_seconds = 0.01
        self._ended = False
        self._lock = threading.Lock()
        # One for each worker: the first idle one is woken, so that a lone request always runs in the same thread.
        self._bells = [threading.Condition(self._lock) for _ in range(workers)]
        self._idle: set[int] = set()
        for number in range(workers):
            threading.Thread(target=self._work, args=(number,), name=f"worker {number}", daemon=True).start()

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._waiting)

    @property
    def tokens(self) -> int:
        """Tokens in the queue."""
        with self._lock:
            return sum(request.shape.rows * request.shape.length for request in self._waiting)

    @property
    def wait(self) -> float:
        """Seconds that a request which comes now would wait, as far as one can tell."""
        return self._request_seconds * len(self._waiting) / self._workers

    @property
    def running(self) -> int:
        """Batches that run now."""
        return self._running

    async def run(
        self, program: Runnable, inputs: Sequence[Tensor], shape: Shape, deadline: float | None, model: str = ""
    ) -> Done:
        """The program's outputs; cancelling takes it out of the queue. Raises `ResourceExhausted` at once where that is full."""
        request = _Request(program, inputs, shape, deadline, time.monotonic(), self._loop.create_future(), model)
        with self._lock:
            if self._ended:
                raise Unavailable("the agent is shutting down")
            if len(self._waiting) >= self._max_queue:
                raise ResourceExhausted(
                    f"{self._max_queue} requests are waiting, the limit (--max-queue)",
                    retry_after=max(0.1, self.wait),
                    reason="queue",
                )
            self._waiting.append(request)
            self._wake_one()
        try:
            return await request.done
        except asyncio.CancelledError:
            with self._lock, contextlib.suppress(ValueError):
                self._waiting.remove(request)
            raise

    def close(self) -> None:
        """Fails what is waiting; what runs now is let finish."""
        with self._lock:
            self._ended = True
            left, self._waiting = self._waiting, []
            for bell in self._bells:
                bell.notify()
        for request in left:
            _resolve(request, Unavailable("the agent is shutting down"))

    def _wake_one(self) -> None:
        if self._idle:
            self._bells[min(self._idle)].notify()

    def _work(self, number: int) -> None:
        while True:
            with self._lock:
                found = self._next(number)
                if found is None:
                    return
                batch, reason = found
                self._running += 1
                alone = number == 0 and self._running == 1 and not self._waiting
                if self._waiting:
                    self._wake_one()
            began = time.monotonic()
            outcomes = _run(batch, began, alone=alone)
            seconds = time.monotonic() - began
            with self._lock:
                self._running -= 1
                self._request_seconds += 0.1 * (seconds / len(batch) - self._request_seconds)
            self._observe(_report(batch, reason, began, seconds))
            self._loop.call_soon_threadsafe(_deliver, batch, outcomes)

    def _next(self, number: int) -> tuple[list[_Request], Reason] | None:
        """Waits for work and takes it out of the queue; None at the end."""
        while not self._ended:
            now = time.monotonic()
            self._waiting = [request for request in self._waiting if not _is_over(request, now)]
            if not self._waiting:
                self._wait(number, None)
                continue
            shapes, share = [request.shape for request in self._waiting], self._share()
            chosen = pack(shapes, share)
            delay = self._delay(chosen, now)
            if delay > 0:
                self._wait(number, delay)
                continue
            batch = [self._waiting[i] for i in chosen]
            for i in reversed(chosen):
                del self._waiting[i]
            return batch, why(shapes, chosen, share, self._limits)
        return None

    def _wait(self, number: int, seconds: float | None) -> None:
        self._idle.add(number)
        self._bells[number].wait(seconds)
        self._idle.discard(number)

    def _delay(self, chosen: list[int], now: float) -> float:
        """Seconds for which a batch that is not full may still wait for company."""
        full = sum(self._waiting[i].shape.rows for i in chosen) >= self._limits.rows
        return 0.0 if full or self._waiting[0].shape.key is None else self._waiting[0].arrived + self._max_delay - now

    def _share(self) -> Limits:
        """The limits, and no more rows than leave work for the other workers that are free."""
        free = max(1, self._workers - self._running)
        rows = -(-sum(request.shape.rows for request in self._waiting) // free)
        return Limits(min(self._limits.rows, max(1, rows)), self._limits.tokens, self._limits.padding)


Outcome = Done | RpcError


def _report(batch: list[_Request], reason: Reason, began: float, seconds: float) -> Report:
    rows = sum(request.shape.rows for request in batch)
    tokens = sum(request.shape.rows * request.shape.length for request in batch)
    padding = rows * max(request.shape.length for request in batch) - tokens
    return Report(batch[0].model, rows, tokens, padding, reason, [began - request.arrived for request in batch], seconds)


def _is_over(request: _Request, now: float) -> bool:
    return request.done.done() or (request.deadline is not None and request.deadline <= now)


def _run(requests: list[_Request], released: float, *, alone: bool) -> list[Outcome]:
    """Each request's outcome. A batch that fails is run again one by one, so that only the bad request fails."""
    try:
        batch = requests[0].program.run([request.inputs for request in requests], alone=alone)
        rows, split = sum(request.shape.rows for request in requests), time.monotonic()
        return [
            Done(outputs, request.arrived, released, batch, split, rows)
            for request, outputs in zip(requests, batch.outputs, strict=True)
        ]
    except Exception as error:  # noqa: BLE001 every failure must reach whoever waits
        if len(requests) == 1:
            return [_as_rpc_error(error)]
    _log.debug("A batch of %d failed; running its requests one by one", len(requests))
    return [outcome for request in requests for outcome in _run([request], released, alone=False)]


def _as_rpc_error(error: Exception) -> RpcError:
    if isinstance(error, RpcError):
        return error
    _log.error("A run failed: %s: %s", type(error).__name__, error)
    return Internal(f"the run failed: {type(error).__name__}")


def _deliver(batch: list[_Request], outcomes: list[Outcome]) -> None:
    for request, outcome in zip(batch, outcomes, strict=True):
        _resolve(request, outcome)


def _resolve(request: _Request, outcome: Any) -> None:
    if request.done.done():
        return
    if isinstance(outcome, RpcError):
        request.done.set_exception(outcome)
    else:
        request.done.set_result(outcome)
