"""The requests that wait for each program, and which of them run next.

Programs share the workers by fair queuing: the next batch is of the program that has used the least
time. A program that was idle starts at the others' virtual time, and so has no claim on the past.
"""

from __future__ import annotations

import bisect
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from weakref import WeakKeyDictionary

from agent.batching.requests import BatchReport, QueuedRequest, padded_tokens_of, rows_of, tokens_of
from agent.engines.contract import Program
from agent.engines.cost import Cost
from agent.packing import BatchLimits, Reason, pack, why
from vaccel_rpc.errors import DeadlineExceeded, ResourceExhausted, RpcError, Unavailable

_log = logging.getLogger("agent.batching")

_OVER = "the deadline has passed; the request's batch failed, and nobody waited for another run"
_NO_TIME = "the request's batch failed, and there was no time to run it again alone"


@dataclass(eq=False, slots=True)
class ProgramQueue:
    """What waits for one program.

    ``used``: the seconds for which it has used workers, in virtual time.
    """

    cost: Cost
    limits: BatchLimits
    waiting: list[QueuedRequest] = field(default_factory=list)
    used: float = 0.0
    model: str = ""

    def lower_limit(self, requests: Sequence[QueuedRequest]) -> None:
        """Limits batches to half of these requests' tokens, for which memory ran out."""
        rows, padded = rows_of(requests), padded_tokens_of(requests)
        if rows == 1:
            return
        tokens = min(self.limits.tokens or padded, padded // 2)
        self.limits = replace(self.limits, tokens=tokens)
        _log.warning(
            "No memory for %d rows, %d tokens, of %s: its batches have at most %d tokens from now on",
            rows,
            padded,
            self.model,
            tokens,
        )


@dataclass(eq=False, slots=True)
class ReleasedBatch:
    """Requests that a worker took out of the queue, to run them together.

    ``again_until``: once it has failed, the time (monotonic seconds) until which they are run again.
    """

    program: Program
    queue: ProgramQueue
    requests: list[QueuedRequest]
    reason: Reason
    again_until: float | None = None

    @property
    def counted(self) -> bool:
        """Whether it is of clients' requests; one that is not is alone in its batch."""
        return self.requests[0].counted

    def not_run_again(self, requests: Sequence[QueuedRequest], now: float) -> dict[QueuedRequest, RpcError]:
        """Which of these are not run again after it has failed, and why: nobody waits for them, or there is no time.

        The latter may be run by another agent.
        """
        late = self.again_until is not None and now >= self.again_until
        return {
            request: DeadlineExceeded(_OVER) if request.is_over(now) else Unavailable(_NO_TIME)
            for request in requests
            if late or request.is_over(now)
        }

    def report(self, began: float, seconds: float) -> BatchReport:
        """What is reported of it once it has run; ``began`` in monotonic seconds."""
        rows, tokens = rows_of(self.requests), tokens_of(self.requests)
        padding = padded_tokens_of(self.requests) - tokens if self.queue.cost.pads else 0
        waited = [began - request.arrived for request in self.requests]
        return BatchReport(self.queue.model, rows, tokens, padding, self.reason, waited, seconds)


class RequestQueue:
    """Everything that waits. Not thread-safe: the batcher's lock guards it.

    ``max_texts``, ``max_tokens``: rows that may wait, and tokens in them. ``max_delay``: seconds
    for which a batch that is not full waits for more requests. ``wait``: the estimated seconds that
    one more request waits.
    """

    def __init__(
        self, limits: BatchLimits, *, max_texts: int, max_tokens: int, max_delay: float, wait: Callable[[], float]
    ) -> None:
        self._limits, self._max_texts, self._max_tokens, self._max_delay = limits, max_texts, max_tokens, max_delay
        self._wait = wait
        # A program is not kept by its queue: when the store unloads it, its memory is free.
        self._queues: WeakKeyDictionary[Program, ProgramQueue] = WeakKeyDictionary()
        #: The queues in which requests wait.
        self.ready: dict[Program, ProgramQueue] = {}
        self._virtual_time = 0.0
        self.texts = 0
        self.tokens = 0

    def __len__(self) -> int:
        return sum(len(queue.waiting) for queue in self.ready.values())

    def largest_batch(self, program: Program, length: int) -> int:
        """The rows of the largest useful batch of rows of this length; at least 1."""
        queue = self._queue(program)
        sizes = range(2, queue.limits.rows + 1)
        return 1 + bisect.bisect(sizes, False, key=lambda rows: not queue.limits.allow(queue.cost, rows, length))

    def add(self, program: Program, requests: list[QueuedRequest], model: str) -> None:
        """Appends requests. Raises `ResourceExhausted` where they would be too many.

        A request that finds the queue empty is accepted whatever its size.
        """
        texts, tokens = self.texts + rows_of(requests), self.tokens + tokens_of(requests)
        if self.texts and (texts > self._max_texts or tokens > self._max_tokens):
            limit = f"{self._max_texts} texts (--max-queue)"
            if texts <= self._max_texts:
                limit = f"{self._max_tokens} tokens (--max-queue-tokens)"
            raise ResourceExhausted(
                f"{self.texts} texts of {self.tokens} tokens are waiting; with this request there would be more than {limit}",
                retry_after=max(0.1, self._wait()),
                reason="queue",
            )
        self.texts, self.tokens = texts, tokens
        queue = self._queue(program)
        queue.model = model
        if program not in self.ready:
            self.ready[program] = queue
            queue.used = max(queue.used, self._virtual_time)
        queue.waiting += requests

    def remove(self, program: Program, requests: Sequence[QueuedRequest]) -> None:
        """Removes those of the requests that still wait."""
        if queue := self.ready.get(program):
            removed = set(requests)
            self._take(program, queue, [request for request in queue.waiting if request in removed])

    def clear(self) -> list[QueuedRequest]:
        """Removes everything; what was removed."""
        removed = [request for queue in self.ready.values() for request in queue.waiting]
        for program, queue in list(self.ready.items()):
            self._take(program, queue, queue.waiting)
        return removed

    def next_batch(self, free_workers: int, now: float) -> ReleasedBatch | float | None:
        """Takes out the next batch; else the seconds until there is one, if that is known."""
        delays: list[float] = []
        for program, queue in sorted(self.ready.items(), key=lambda item: (item[1].used, item[1].waiting[0].arrived)):
            if over := [request for request in queue.waiting if request.is_over(now)]:
                self._take(program, queue, over)
                if not queue.waiting:
                    continue
            shapes, share = [request.shape for request in queue.waiting], _share(queue, free_workers)
            chosen = pack(shapes, share, queue.cost)
            delay = self._delay(queue, chosen, now)
            if delay > 0:
                delays.append(delay)
                continue
            self._virtual_time = max(self._virtual_time, queue.used)
            requests = [queue.waiting[i] for i in chosen]
            self._take(program, queue, requests)
            return ReleasedBatch(program, queue, requests, why(shapes, chosen, share, queue.limits, queue.cost))
        return min(delays, default=None)

    def _queue(self, program: Program) -> ProgramQueue:
        queue = self._queues.get(program)
        if queue is None:
            queue = self._queues[program] = ProgramQueue(program.cost, self._limits)
        return queue

    def _take(self, program: Program, queue: ProgramQueue, requests: Sequence[QueuedRequest]) -> None:
        taken = set(requests)
        self.texts -= rows_of(requests)
        self.tokens -= tokens_of(requests)
        queue.waiting = [request for request in queue.waiting if request not in taken]
        if not queue.waiting:
            self.ready.pop(program, None)

    def _delay(self, queue: ProgramQueue, chosen: list[int], now: float) -> float:
        """Seconds for which a batch that is not full may still wait for more requests."""
        oldest = queue.waiting[0]
        if not self._max_delay or oldest.shape.key is None:
            return 0.0
        requests = [queue.waiting[i] for i in chosen]
        longest = max(request.shape.length for request in requests)
        full = not queue.limits.allow(queue.cost, rows_of(requests) + 1, longest, tokens_of(requests) + 1)
        return 0.0 if full else oldest.arrived + self._max_delay - now


def _share(queue: ProgramQueue, free_workers: int) -> BatchLimits:
    """The program's limits, with no more rows than leave work for the other free workers."""
    rows = max(1, -(-rows_of(queue.waiting) // max(1, free_workers)))
    return replace(queue.limits, rows=rows) if rows < queue.limits.rows and len(queue.waiting) > 1 else queue.limits
