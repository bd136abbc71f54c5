"""Which waiting requests run next, together. No timer: a worker that is free takes what is waiting."""

from __future__ import annotations

import asyncio
import bisect
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakKeyDictionary

from agent.batching.packing import BatchLimits, Reason, pack, why
from agent.engines.contract import Batch, Program
from agent.engines.cost import Cost
from agent.engines.layout import Shape
from vaccel_rpc.errors import Internal, ResourceExhausted, RpcError, Unavailable
from vaccel_rpc.tensors import Tensor

_log = logging.getLogger("agent.batching")


@dataclass(frozen=True, slots=True)
class CompletedRun:
    """A request's outputs. Monotonic seconds: it ``arrived``, its batch of ``rows`` was ``released``, the model (``batch``) ran,
    and what it made was ``split``.
    """

    outputs: list[Tensor]
    arrived: float
    released: float
    batch: Batch
    split: float
    rows: int


Outcome = CompletedRun | RpcError


@dataclass(frozen=True, slots=True)
class BatchReport:
    """A batch that ran: ``tokens`` in it and ``padding`` added to them, seconds that each request ``waited`` and that it took."""

    model: str
    rows: int
    tokens: int
    padding: int
    reason: Reason
    waited: list[float]
    seconds: float


#: A request's inputs, and how it fits others.
Part = tuple[Sequence[Tensor], Shape]


@dataclass(eq=False, slots=True)
class _QueuedRequest:
    inputs: Sequence[Tensor]
    shape: Shape
    deadline: float | None
    arrived: float
    done: asyncio.Future[CompletedRun]


@dataclass(eq=False, slots=True)
class _ProgramQueue:
    """What waits for one program. ``used``: seconds that it had workers for, counted from when it last began to wait."""

    cost: Cost
    limits: BatchLimits
    waiting: list[_QueuedRequest] = field(default_factory=list)
    used: float = 0.0
    model: str = ""


@dataclass(eq=False, slots=True)
class _ReleasedBatch:
    """Requests that a worker took out of the queue."""

    program: Program
    lane: _ProgramQueue
    requests: list[_QueuedRequest]
    reason: Reason


class Batcher:
    """A bounded queue and the threads that run it. ``observe`` is told of every batch that ran.

    ``max_queue``, ``max_queue_tokens``: texts that may wait, and tokens in them; a request that finds nobody waiting always may.
    Programs take turns by the time that their batches take.
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
        self._limits, self._max_queue, self._max_tokens = limits, max_queue, max_queue_tokens
        self._max_delay, self._observe = max_delay, observe
        self._loop = asyncio.get_running_loop()
        self._lanes: WeakKeyDictionary[Program, _ProgramQueue] = WeakKeyDictionary()
        #: Those with requests that wait.
        self._ready: dict[Program, _ProgramQueue] = {}
        self._texts = self._tokens = self._running = 0
        self._clock = 0.0
        self._workers = workers
        self._text_seconds = 0.01
        self._ended = False
        self._lock = threading.Lock()
        # One for each worker: the first idle one is woken, so that a lone request always runs in the same thread.
        self._bells = [threading.Condition(self._lock) for _ in range(workers)]
        self._idle: set[int] = set()
        for number in range(workers):
            threading.Thread(target=self._work, args=(number,), name=f"worker {number}", daemon=True).start()

    @property
    def waiting(self) -> int:
        """Requests in the queue; of one that was divided each part."""
        with self._lock:
            return sum(len(lane.waiting) for lane in self._ready.values())

    @property
    def texts(self) -> int:
        """Texts in the queue."""
        return self._texts

    @property
    def tokens(self) -> int:
        """Tokens in the queue."""
        return self._tokens

    @property
    def wait(self) -> float:
        """Seconds that a request which comes now would wait, as far as one can tell."""
        return self._text_seconds * self._texts / self._workers

    @property
    def running(self) -> int:
        """Batches that run now."""
        return self._running

    def rows(self, program: Program, length: int) -> int:
        """Rows of this length beyond which a batch of that program wins nothing, or has no memory; 1 at least."""
        lane = self._lane(program)
        sizes = range(2, lane.limits.rows + 1)
        return 1 + bisect.bisect(sizes, False, key=lambda rows: not lane.limits.allow(lane.cost, rows, length))

    async def run(self, program: Program, parts: Sequence[Part], deadline: float | None, model: str = "") -> list[CompletedRun]:
        """The program's outputs for each part of one request; cancelling takes them out of the queue.

        Raises `ResourceExhausted` at once where the queue is full, or the first part's failure.
        """
        now = time.monotonic()
        requests = [_QueuedRequest(inputs, shape, deadline, now, self._loop.create_future()) for inputs, shape in parts]
        with self._lock:
            self._admit(requests)
            lane = self._lane(program)
            lane.model = model
            if program not in self._ready:
                self._ready[program] = lane
                lane.used = max(lane.used, self._clock)
            lane.waiting += requests
            self._wake_one()
        try:
            return [await request.done for request in requests]
        except BaseException:
            mine = set(requests)
            with self._lock:
                self._take(program, lane, [request for request in lane.waiting if request in mine])
            for request in requests:
                request.done.cancel()  # of one that failed too: else asyncio logs that nobody asked for it
            raise

    def close(self) -> None:
        """Fails what is waiting; what runs now is let finish."""
        with self._lock:
            self._ended = True
            left = [request for lane in self._ready.values() for request in lane.waiting]
            for program, lane in list(self._ready.items()):
                self._take(program, lane, list(lane.waiting))
            for bell in self._bells:
                bell.notify()
        for request in left:
            _resolve(request, Unavailable("the agent is shutting down"))

    def _lane(self, program: Program) -> _ProgramQueue:
        lane = self._lanes.get(program)
        if lane is None:
            lane = self._lanes[program] = _ProgramQueue(program.cost, self._limits)
        return lane

    def _admit(self, requests: list[_QueuedRequest]) -> None:
        if self._ended:
            raise Unavailable("the agent is shutting down")
        texts, tokens = self._texts + _rows(requests), self._tokens + _tokens(requests)
        if self._texts and (texts > self._max_queue or tokens > self._max_tokens):
            limit = f"{self._max_queue} texts (--max-queue)"
            if texts <= self._max_queue:
                limit = f"{self._max_tokens} tokens (--max-queue-tokens)"
            raise ResourceExhausted(
                f"{self._texts} texts of {self._tokens} tokens are waiting; with this request it would be more than {limit}",
                retry_after=max(0.1, self.wait),
                reason="queue",
            )
        self._texts, self._tokens = texts, tokens

    def _take(self, program: Program, lane: _ProgramQueue, requests: list[_QueuedRequest]) -> None:
        """Takes requests out of the queue."""
        gone = set(requests)
        self._texts -= _rows(requests)
        self._tokens -= _tokens(requests)
        lane.waiting = [request for request in lane.waiting if request not in gone]
        if not lane.waiting:
            self._ready.pop(program, None)

    def _wake_one(self) -> None:
        if self._idle:
            self._bells[min(self._idle)].notify()

    def _work(self, number: int) -> None:
        while self._turn(number):
            pass

    def _turn(self, number: int) -> bool:
        """Waits for a batch and runs it; False at the end. Nothing of a batch outlives it here: its program may be unloaded."""
        with self._lock:
            taken = self._next(number)
            if taken is None:
                return False
            self._running += 1
            alone = number == 0 and self._running == 1 and not self._ready
            if self._ready:
                self._wake_one()
        began = time.monotonic()
        outcomes = self._outcomes(taken, taken.requests, began, alone=alone)
        seconds = time.monotonic() - began
        with self._lock:
            self._running -= 1
            taken.lane.used += seconds
            self._text_seconds += 0.1 * (seconds / _rows(taken.requests) - self._text_seconds)
        self._loop.call_soon_threadsafe(self._deliver, taken, outcomes, began, seconds)
        return True

    def _next(self, number: int) -> _ReleasedBatch | None:
        """Waits for work and takes it out of the queue; None at the end."""
        while not self._ended:
            found = self._pick() if self._ready else None
            if isinstance(found, _ReleasedBatch):
                return found
            self._wait(number, found)
        return None

    def _pick(self) -> _ReleasedBatch | float | None:
        """The batch that runs next: of the program that had least time. Else the seconds until there is one, if that is known."""
        now = time.monotonic()
        delays: list[float] = []
        for program, lane in sorted(self._ready.items(), key=lambda item: (item[1].used, item[1].waiting[0].arrived)):
            if over := [request for request in lane.waiting if _is_over(request, now)]:
                self._take(program, lane, over)
                if not lane.waiting:
                    continue
            shapes, share = [request.shape for request in lane.waiting], self._share(lane)
            chosen = pack(shapes, share, lane.cost)
            delay = self._delay(lane, chosen, now)
            if delay > 0:
                delays.append(delay)
                continue
            self._clock = max(self._clock, lane.used)
            requests = [lane.waiting[i] for i in chosen]
            self._take(program, lane, requests)
            return _ReleasedBatch(program, lane, requests, why(shapes, chosen, share, lane.limits, lane.cost))
        return min(delays, default=None)

    def _wait(self, number: int, seconds: float | None) -> None:
        self._idle.add(number)
        self._bells[number].wait(seconds)
        self._idle.discard(number)

    def _delay(self, lane: _ProgramQueue, chosen: list[int], now: float) -> float:
        """Seconds for which a batch that is not full may still wait for company."""
        if not self._max_delay or lane.waiting[0].shape.key is None:
            return 0.0
        requests = [lane.waiting[i] for i in chosen]
        full = not lane.limits.allow(lane.cost, _rows(requests) + 1, max(request.shape.length for request in requests))
        return 0.0 if full else lane.waiting[0].arrived + self._max_delay - now

    def _share(self, lane: _ProgramQueue) -> BatchLimits:
        """The limits, and no more rows than leave work for the other workers that are free."""
        free = max(1, self._workers - self._running)
        rows = max(1, -(-_rows(lane.waiting) // free))
        return replace(lane.limits, rows=rows) if rows < lane.limits.rows and len(lane.waiting) > 1 else lane.limits

    def _outcomes(self, taken: _ReleasedBatch, requests: list[_QueuedRequest], released: float, *, alone: bool) -> list[Outcome]:
        """Each request's outcome. What fails together is run again: where memory was out in halves, else one by one, so that only the
        bad request fails, or the one that has no room even alone.
        """
        try:
            batch = taken.program.run([request.inputs for request in requests], alone=alone)
            rows, split = _rows(requests), time.monotonic()
            return [
                CompletedRun(outputs, request.arrived, released, batch, split, rows)
                for request, outputs in zip(requests, batch.outputs, strict=True)
            ]
        except Exception as error:  # noqa: BLE001 every failure must reach whoever waits
            failure = _as_rpc_error(error)
            # Its frames hold the batch, and they each other: the inputs, and the program, would wait for the garbage collector.
            failure.__traceback__ = failure.__context__ = None
        pieces = [[request] for request in requests]
        if isinstance(failure, ResourceExhausted) and failure.memory:
            self._lower(taken.lane, requests)
            middle = (len(requests) + 1) // 2
            pieces = [requests[:middle], requests[middle:]]
        if len(requests) == 1:
            return [failure]
        _log.debug("A batch of %d failed; it is run again in %d pieces", len(requests), len(pieces))
        return [done for piece in pieces for done in self._outcomes(taken, piece, released, alone=False)]

    def _deliver(self, taken: _ReleasedBatch, outcomes: list[Outcome], began: float, seconds: float) -> None:
        for request, outcome in zip(taken.requests, outcomes, strict=True):
            _resolve(request, outcome)
        # Whoever waits goes on first.
        self._loop.call_soon(self._observe, _report(taken, began, seconds))

    def _lower(self, lane: _ProgramQueue, requests: list[_QueuedRequest]) -> None:
        """Memory was out: from now on a batch of the program has half of these tokens at most."""
        rows, padded = _rows(requests), _padded(requests)
        if rows == 1:
            return
        with self._lock:
            ceiling = min(lane.limits.tokens or padded, padded // 2)
            lane.limits = replace(lane.limits, tokens=ceiling)
        _log.warning(
            "No memory for %d rows, %d tokens, of %s: its batches have %d at most now", rows, padded, lane.model, ceiling
        )


def _rows(requests: Sequence[_QueuedRequest]) -> int:
    return sum(request.shape.rows for request in requests)


def _tokens(requests: Sequence[_QueuedRequest]) -> int:
    return sum(request.shape.rows * request.shape.length for request in requests)


def _padded(requests: Sequence[_QueuedRequest]) -> int:
    """Tokens with padding."""
    return _rows(requests) * max(request.shape.length for request in requests)


def _report(taken: _ReleasedBatch, began: float, seconds: float) -> BatchReport:
    rows, tokens = _rows(taken.requests), _tokens(taken.requests)
    waited = [began - request.arrived for request in taken.requests]
    return BatchReport(taken.lane.model, rows, tokens, _padded(taken.requests) - tokens, taken.reason, waited, seconds)


def _is_over(request: _QueuedRequest, now: float) -> bool:
    return request.done.done() or (request.deadline is not None and request.deadline <= now)


def _as_rpc_error(error: Exception) -> RpcError:
    if isinstance(error, RpcError):
        return error
    _log.error("A run failed: %s: %s", type(error).__name__, error)
    return Internal(f"the run failed: {type(error).__name__}")


def _resolve(request: _QueuedRequest, outcome: Any) -> None:
    if request.done.done():
        return
    if isinstance(outcome, RpcError):
        request.done.set_exception(outcome)
    else:
        request.done.set_result(outcome)
