"""Programs for the batcher that a test controls, and requests for them."""

from __future__ import annotations

import asyncio
import errno
import threading
import time
from collections.abc import Callable, Sequence

from agent.batching.batcher import Batcher
from agent.batching.requests import BatchReport, CompletedRun, Part
from agent.engines.contract import Batch
from agent.engines.cost import UNKNOWN
from agent.engines.layout import Shape
from agent.packing import BatchLimits
from vaccel_rpc.errors import Internal, ResourceExhausted
from vaccel_rpc.tensors import Tensor, from_values

K = "key"


class EchoProgram:
    """Gives its inputs back; fails where one is 13, and for want of memory where there are more than ``memory`` rows."""

    def __init__(self, gate: threading.Event | None = None, *, memory: int = 1000, seconds: float = 0) -> None:
        self.batches: list[int] = []
        self.gate = gate
        self.memory, self.seconds = memory, seconds
        self.started = threading.Event()
        self.signature, self.joinable, self.cost = None, True, UNKNOWN

    def run(self, requests: Sequence[Sequence[Tensor]], *, alone: bool) -> Batch:  # noqa: ARG002 its interface
        self.started.set()
        if self.gate:
            self.gate.wait(10)
        time.sleep(self.seconds)
        rows = sum(request[0].dims[0] for request in requests)
        self.batches.append(rows)
        if rows > self.memory:
            raise ResourceExhausted("out of memory", errno=errno.ENOMEM)
        if any(13 in request[0].data for request in requests):
            raise Internal("thirteen")
        return Batch([list(request) for request in requests], time.monotonic(), time.monotonic())


def one(*values: int) -> list[Tensor]:
    """The one tensor of a request that holds these values."""
    return [from_values("uint8", [len(values)], values)]


def part(*values: int, length: int = 1) -> Part:
    """A request that may be joined with others: a row for each value, ``length`` tokens long."""
    return one(*values), Shape(K, length, len(values))


def batcher(
    max_queue: int = 100, workers: int = 1, *, max_queue_tokens: int = 10_000, limits: BatchLimits = BatchLimits(),  # noqa: B008 frozen
    observe: Callable[[BatchReport], None] = lambda _: None,
) -> Batcher:  # fmt: skip
    return Batcher(workers, limits, max_queue=max_queue, max_queue_tokens=max_queue_tokens, max_delay=0, observe=observe)


def values(outcome: object) -> object:
    """What came back, or the failure's class."""
    if isinstance(outcome, BaseException):
        return type(outcome)
    assert isinstance(outcome, list)
    return [value for done in outcome for value in done.outputs[0].data]


async def held(queue: Batcher, echo: EchoProgram) -> asyncio.Task[list[CompletedRun]]:
    """A request of ``echo`` that runs, and holds the only worker until its gate opens."""
    task = asyncio.create_task(queue.run(echo, [part(1)], None))
    await asyncio.sleep(0)
    await asyncio.to_thread(echo.started.wait, 10)
    return task


ALONE = (one(1), Shape(None))
