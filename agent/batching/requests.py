"""Requests to programs on their way through the queue: waiting, released as a batch, completed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from agent.batching.packing import Reason
from agent.engines.contract import Batch
from agent.engines.layout import Shape
from vaccel_rpc.errors import RpcError
from vaccel_rpc.tensors import Tensor

#: A request's inputs, and how it fits others.
Part = tuple[Sequence[Tensor], Shape]


@dataclass(frozen=True, slots=True)
class CompletedRun:
    """A request's outputs, and when things happened, in monotonic seconds.

    The request ``arrived``; its batch of ``rows`` was ``released`` from the queue; the model ran
    (``batch``); the outputs were ``split`` by request.
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
    """A batch that ran.

    ``tokens`` without and ``padding`` beside them; the seconds for which each request ``waited``,
    and the batch's own.
    """

    model: str
    rows: int
    tokens: int
    padding: int
    reason: Reason
    waited: list[float]
    seconds: float


@dataclass(eq=False, slots=True)
class QueuedRequest:
    """A request or a part of one in the queue. ``deadline``, ``arrived``: monotonic seconds."""

    inputs: Sequence[Tensor]
    shape: Shape
    deadline: float | None
    arrived: float
    future: asyncio.Future[CompletedRun]

    def is_over(self, now: float) -> bool:
        """Whether nobody waits for it any more."""
        return self.future.done() or (self.deadline is not None and self.deadline <= now)

    def resolve(self, outcome: Outcome) -> None:
        """Passes its outcome to whoever still waits for it. Only in the event loop's thread."""
        if self.future.done():
            return
        if isinstance(outcome, RpcError):
            self.future.set_exception(outcome)
        else:
            self.future.set_result(outcome)


def rows_of(requests: Sequence[QueuedRequest]) -> int:
    """Rows of all requests."""
    return sum(request.shape.rows for request in requests)


def tokens_of(requests: Sequence[QueuedRequest]) -> int:
    """Tokens of all requests, without padding."""
    return sum(request.shape.rows * request.shape.length for request in requests)


def padded_tokens_of(requests: Sequence[QueuedRequest]) -> int:
    """Tokens of the requests as one batch, with padding."""
    return rows_of(requests) * max(request.shape.length for request in requests)
