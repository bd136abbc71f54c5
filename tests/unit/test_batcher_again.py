"""A batch that has failed and is run again in pieces: for whom, and for how long."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence

import pytest

from agent.batching import batcher as batcher_module
from agent.engines.contract import Batch
from tests.support.programs import EchoProgram, batcher, held, part, values
from vaccel_rpc.errors import DeadlineExceeded, Internal, Unavailable
from vaccel_rpc.tensors import Tensor

AGAIN_S = 1.0


def test_nobody_who_has_left_is_run_again() -> None:
    """Neither a cancelled request, nor one whose deadline has passed; of a batch without memory, too."""

    async def main(*, memory: int, bad: int) -> tuple[list[int], list[object]]:
        first, gate = threading.Event(), threading.Event()
        holding, echo, queue = EchoProgram(first), EchoProgram(gate, memory=memory), batcher()
        holder = await held(queue, holding)
        soon = time.monotonic() + 0.3
        deadlines = (None, None, soon, None, None, soon)
        tasks = [
            asyncio.create_task(queue.run(echo, [part(value)], deadline))
            for value, deadline in zip((2, bad, 4, 5, 6, 7), deadlines, strict=True)
        ]
        await asyncio.sleep(0)
        first.set()
        await asyncio.to_thread(echo.started.wait, 10)
        tasks[3].cancel()
        await asyncio.sleep(0.4)
        gate.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        await holder
        queue.close()
        return echo.batches, [values(result) for result in results]

    gone = [DeadlineExceeded, asyncio.CancelledError]
    assert asyncio.run(main(memory=100, bad=13)) == ([6, 1, 1, 1], [[2], Internal, *gone, [6], gone[0]])
    assert asyncio.run(main(memory=4, bad=3)) == ([6, 2, 1], [[2], [3], *gone, [6], gone[0]])


class _Hanging(EchoProgram):
    """Takes longer for 13 alone than a batch is run again for."""

    def run(self, requests: Sequence[Sequence[Tensor]], *, alone: bool) -> Batch:
        if [value for request in requests for value in request[0].data] == [13]:
            time.sleep(AGAIN_S + 0.2)
        return super().run(requests, alone=alone)


def test_a_batch_is_run_again_for_a_limited_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is for all its pieces together; what it does not suffice for may be run by another agent."""
    monkeypatch.setattr(batcher_module, "AGAIN_S", AGAIN_S)

    async def main() -> None:
        gate = threading.Event()
        holding, echo, queue = EchoProgram(gate), _Hanging(), batcher()
        holder = await held(queue, holding)
        tasks = [asyncio.create_task(queue.run(echo, [part(value)], None)) for value in (2, 13, 4, 5)]
        await asyncio.sleep(0)
        gate.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [values(result) for result in results] == [[2], Internal, Unavailable, Unavailable]
        assert echo.batches == [4, 1, 1]
        await holder
        queue.close()

    asyncio.run(main())
