"""Requests to programs on their way through the queue: waiting, released as a batch, completed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from agent.engines.contract import Batch
from agent.engines.layout import Shape
from agent.packing import Reason
from vaccel_common.records import record
from vaccel_rpc.errors import Internal, RpcError
from vaccel_rpc.tensors import Tensor

#: Characters of an engine's exception that are kept.
_MAX_REASON = 500
#: A request's inputs, and how it fits others.
Part = tuple[Sequence[Tensor], Shape]


@record
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


@record
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
    """A request or a part of one in the queue.

    ``deadline``, ``arrived``: monotonic seconds. ``counted``: whether it is a client's.
    """

    inputs: Sequence[Tensor]
    shape: Shape
    deadline: float | None
    arrived: float
    future: asyncio.Future[CompletedRun]
    counted: bool = True

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


def as_rpc_error(error: BaseException) -> RpcError:
    """What an engine raised, as its callers get it."""
    if isinstance(error, RpcError):
        return error
    return Internal(f"the run failed: {type(error).__name__}: {error}"[:_MAX_REASON])


def not_to_be_repeated(requests: Sequence[QueuedRequest]) -> RpcError | None:
    """The error of one of the parts that must not run on another agent, if there is one."""
    done = [request.future for request in requests if request.future.done() and not request.future.cancelled()]
    errors = (future.exception() for future in done)
    return next((error for error in errors if isinstance(error, Internal)), None)


def halves_of(requests: list[QueuedRequest]) -> list[list[QueuedRequest]]:
    """Two or more requests in two lists, of which the first may be the longer one."""
    middle = (len(requests) + 1) // 2
    return [requests[:middle], requests[middle:]]


def rows_of(requests: Sequence[QueuedRequest]) -> int:
    """Rows of all requests."""
    return sum(request.shape.rows for request in requests)


def tokens_of(requests: Sequence[QueuedRequest]) -> int:
    """Tokens of all requests, without padding."""
    return sum(request.shape.rows * request.shape.length for request in requests)


def padded_tokens_of(requests: Sequence[QueuedRequest]) -> int:
    """Tokens of the requests as one batch, with padding."""
    return rows_of(requests) * max(request.shape.length for request in requests)
