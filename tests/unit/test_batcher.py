"""The queue of requests: every failure reaches its caller, nothing waits for ever, and what has ended is not kept."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import Sequence

import pytest

from agent.engines.contract import Batch
from agent.packing import BatchLimits
from tests.support.programs import ALONE, EchoProgram, batcher, held, part, values
from vaccel_rpc.errors import Internal, ResourceExhausted, RpcError, Unavailable
from vaccel_rpc.tensors import Tensor


def test_a_bad_request_fails_alone() -> None:
    """The others of its batch get their answers."""

    async def main() -> None:
        gate = threading.Event()
        echo, queue = EchoProgram(gate), batcher()
        tasks = [await held(queue, echo)]
        tasks += [asyncio.create_task(queue.run(echo, [part(value)], None)) for value in (2, 13, 4)]
        await asyncio.sleep(0.05)
        gate.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [values(result) for result in results] == [[1], [2], Internal, [4]]
        assert echo.batches == [1, 3, 1, 1, 1]
        queue.close()

    asyncio.run(main())


def test_out_of_memory_halves_the_batch_and_is_remembered() -> None:
    """Each half is tried once; later batches of that program, and of no other, are no larger than what there was memory for."""

    async def main() -> None:
        gate, other_gate = threading.Event(), threading.Event()
        echo, other, queue = EchoProgram(gate, memory=4), EchoProgram(other_gate), batcher()
        tasks = [await held(queue, echo)]
        tasks += [asyncio.create_task(queue.run(echo, [part(value)], None)) for value in range(2, 8)]
        await asyncio.sleep(0.05)
        gate.set()
        assert [values(result) for result in await asyncio.gather(*tasks)] == [[value] for value in range(1, 8)]
        assert echo.batches == [1, 6, 3, 3]
        assert queue.largest_batch(echo, 1) == 3
        assert queue.largest_batch(other, 1) == BatchLimits().rows
        tasks = [await held(queue, other)]
        tasks += [asyncio.create_task(queue.run(echo, [part(value)], None)) for value in range(6)]
        await asyncio.sleep(0.05)
        other_gate.set()
        await asyncio.gather(*tasks)
        assert echo.batches[4:] == [3, 3]
        queue.close()

    asyncio.run(main())


def test_memory_that_is_out_for_half_a_batch_too_halves_it_again() -> None:
    """No request fails for its company; the limit that is remembered falls on. What has no room alone fails."""

    async def main() -> None:
        gate = threading.Event()
        echo, queue = EchoProgram(gate, memory=1), batcher()
        tasks = [await held(queue, echo)]
        tasks += [asyncio.create_task(queue.run(echo, [part(*numbers)], None)) for numbers in ((2,), (3,), (4, 5))]
        await asyncio.sleep(0.05)
        gate.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [values(result) for result in results] == [[1], [2], [3], ResourceExhausted]
        assert echo.batches == [1, 4, 2, 1, 1, 2]
        assert queue.largest_batch(echo, 1) == 1
        queue.close()

    asyncio.run(main())


def test_the_first_failure_of_a_request_in_parts_ends_it() -> None:
    """The parts that wait leave the queue, and the worker."""

    async def main() -> None:
        gate = threading.Event()
        echo, queue = EchoProgram(gate), batcher(limits=BatchLimits(rows=1))
        tasks = [await held(queue, echo), asyncio.create_task(queue.run(echo, [part(13), part(2), part(3)], None))]
        await asyncio.sleep(0.01)
        assert queue.waiting == 3
        gate.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [values(result) for result in results] == [[1], Internal]
        assert (queue.waiting, queue.tokens, queue.wait) == (0, 0, 0)
        queue.close()

    asyncio.run(main())


def test_failures_that_nobody_asks_for_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Where several parts fail, one failure is reported."""

    async def main() -> None:
        queue = batcher()
        with pytest.raises(Internal):
            await queue.run(EchoProgram(), [part(13), part(13), part(13)], None)
        await asyncio.sleep(0.05)
        queue.close()

    asyncio.run(main())
    gc.collect()
    assert "never retrieved" not in caplog.text


def test_cancelled_and_expired_requests_never_run() -> None:
    """They leave the queue before the next batch is packed."""

    async def main() -> None:
        gate = threading.Event()
        echo, queue = EchoProgram(gate), batcher()
        first = await held(queue, echo)
        cancelled = asyncio.create_task(queue.run(echo, [part(2)], None))
        expired = asyncio.create_task(queue.run(echo, [part(3)], time.monotonic()))
        last = asyncio.create_task(queue.run(echo, [part(4)], None))
        await asyncio.sleep(0.01)
        cancelled.cancel()
        await asyncio.sleep(0.01)
        gate.set()
        await asyncio.gather(first, last)
        assert echo.batches == [1, 1]
        assert queue.tokens == 0
        expired.cancel()
        queue.close()

    asyncio.run(main())


def test_closing_fails_what_waits_and_lets_the_running_finish() -> None:
    """What waits fails, what runs is answered, and nobody is left waiting."""

    async def main() -> None:
        gate = threading.Event()
        echo, queue = EchoProgram(gate), batcher()
        running = await held(queue, echo)
        waiting = asyncio.create_task(queue.run(echo, [ALONE], None))
        await asyncio.sleep(0)
        queue.close()
        gate.set()
        results = await asyncio.gather(running, waiting, return_exceptions=True)
        assert [values(result) for result in results] == [[1], Unavailable]
        with pytest.raises(RpcError):
            await queue.run(echo, [part(3)], None)

    asyncio.run(main())


def test_a_program_is_not_kept_by_the_queue() -> None:
    """When the store unloads a model, nothing here holds its memory."""

    async def main() -> None:
        queue, echo = batcher(), EchoProgram()
        await queue.run(echo, [part(1)], None)
        with pytest.raises(Internal):
            await queue.run(echo, [part(13), part(1)], None)
        gone = weakref.ref(echo)
        await asyncio.sleep(0.05)
        del echo
        gc.collect()
        assert gone() is None
        queue.close()

    asyncio.run(main())


def test_requests_that_run_are_counted_beside_those_that_wait() -> None:
    """An agent is idle only where both are 0, also after a batch that failed and ran again."""

    async def main() -> None:
        gate = threading.Event()
        echo, queue = EchoProgram(gate), batcher()
        loads: list[tuple[int, int]] = []
        run = echo.run

        def observed(requests: Sequence[Sequence[Tensor]], *, alone: bool) -> Batch:
            batch = run(requests, alone=alone)
            loads.append((queue.running_requests, queue.waiting))
            return batch

        echo.run = observed  # type: ignore[method-assign]
        tasks = [await held(queue, echo)]
        tasks += [asyncio.create_task(queue.run(echo, [part(value)], None)) for value in (2, 13, 4)]
        await asyncio.sleep(0.05)
        assert (queue.running_requests, queue.waiting) == (1, 3)
        gate.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert loads == [(1, 3), (3, 0), (3, 0)]
        assert (queue.running_requests, queue.waiting) == (0, 0)
        queue.close()

    asyncio.run(main())
