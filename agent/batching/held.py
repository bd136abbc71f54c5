"""What holds a worker: a program's run that has begun and has not returned."""

from __future__ import annotations

from dataclasses import dataclass

from agent.batching.request_queue import ReleasedBatch
from agent.batching.requests import QueuedRequest, rows_of, tokens_of


@dataclass(eq=False, slots=True)
class HeldWorker:
    """The worker of that ``number`` in a program's run.

    ``at``: when the run began, in monotonic seconds. ``requests``: what runs, of the ``batch`` that
    the worker took. ``given_up``: its requests have been answered without it.
    """

    number: int
    at: float
    batch: ReleasedBatch
    requests: list[QueuedRequest]
    given_up: bool = False

    def __str__(self) -> str:
        size = f"{rows_of(self.requests)} rows"
        if tokens := tokens_of(self.requests):
            size += f" of {tokens} tokens"
        return f"worker {self.number} has run {self.batch.queue.model} ({size})"
