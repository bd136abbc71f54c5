"""Which requests run together, as tables; and that every failure reaches who waits."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence

import pytest

from agent.batcher import Batch, Batcher, Done
from agent.packing import Limits, Shape, pack, why
from vaccel_rpc.errors import Internal, ResourceExhausted, RpcError, Unavailable
from vaccel_rpc.tensors import Tensor, from_values

K = "key"


@pytest.mark.parametrize(
    ("waiting", "limits", "chosen"),
    [
        ([(K, 10, 1)], Limits(), [0]),
        ([(None, 0, 1), (None, 0, 1)], Limits(), [0]),
        ([(K, 10, 1), (None, 0, 1), (K, 10, 1)], Limits(), [0, 2]),
        ([(K, 10, 1), ("other", 10, 1)], Limits(), [0]),
        ([(K, 10, 1)] * 5, Limits(rows=4), [0, 1, 2, 3]),
        ([(K, 10, 2)] * 3, Limits(rows=5), [0, 1]),
        ([(K, 10, 9), (K, 10, 1)], Limits(rows=8), [0]),
        ([(K, 10, 1)] * 5, Limits(tokens=30), [0, 1, 2]),
        ([(K, 99, 1)], Limits(tokens=30), [0]),
        ([(K, 10, 1), (K, 100, 1), (K, 11, 1)], Limits(padding=0.25), [0, 2]),
        ([(K, 100, 1), (K, 10, 1), (K, 90, 1)], Limits(padding=0.25), [0, 2]),
        ([(K, 10, 1), (K, 30, 1), (K, 20, 1)], Limits(rows=2, padding=1.0), [0, 2]),
    ],
)
def test_pack(waiting: list[tuple[str | None, int, int]], limits: Limits, chosen: list[int]) -> None:
    """The oldest always runs; its nearest in length of the same key join while rows, tokens and padding allow."""
    assert pack([Shape(*shape) for shape in waiting], limits) == chosen


@pytest.mark.parametrize(
    ("waiting", "chosen", "share", "reason"),
    [
        ([(None, 0, 1), (K, 10, 1)], [0], 8, "single"),
        ([(K, 10, 1)] * 9, [*range(8)], 8, "full"),
        ([(K, 10, 1)] * 3, [0, 1, 2], 8, "drained"),
        ([(K, 10, 1)] * 4, [0, 1], 2, "shared"),
        ([(K, 10, 1), (K, 99, 1)], [0], 8, "length"),
        ([(K, 10, 1), ("other", 10, 1)], [0], 8, "length"),
        ([(K, 30, 1)] * 4, [0, 1, 2], 8, "tokens"),
    ],
)
def test_why_a_batch_is_no_larger(waiting: list[tuple[str | None, int, int]], chosen: list[int], share: int, reason: str) -> None:
    """Each batch has one reason, the first that holds."""
    limits = Limits(rows=8, tokens=100)
    assert why([Shape(*shape) for shape in waiting], chosen, Limits(rows=share, tokens=100), limits) == reason


class Echo:
    """Gives its inputs back; fails where one is 13; counts what runs together."""

    def __init__(self, gate: threading.Event | None = None) -> None:
        self.batches: list[int] = []
        self.gate = gate
        self.started = threading.Event()

    def run(self, requests: Sequence[Sequence[Tensor]], *, alone: bool) -> Batch:  # noqa: ARG002 its interface
        self.started.set()
        if self.gate:
            self.gate.wait(10)
        self.batches.append(len(requests))
        if any(request[0].data[0] == 13 for request in requests):
            raise Internal("thirteen")
        return Batch([list(request) for request in requests], time.monotonic(), time.monotonic())


def one(value: int) -> list[Tensor]:
    return [from_values("uint8", [1], [value])]


def batcher(max_queue: int = 100, workers: int = 1) -> Batcher:
    return Batcher(workers, Limits(), max_queue=max_queue, max_delay=0, observe=lambda *_: None)


def test_a_bad_request_fails_alone() -> None:
    """The others of its batch get their answers."""

    async def main() -> None:
        gate = threading.Event()
        echo, queue = Echo(gate), batcher()
        tasks = [asyncio.create_task(queue.run(echo, one(1), Shape(K, 1, 1), None))]
        await asyncio.sleep(0)
        await asyncio.to_thread(echo.started.wait, 10)
        tasks += [asyncio.create_task(queue.run(echo, one(value), Shape(K, 1, 1), None)) for value in (2, 13, 4)]
        await asyncio.sleep(0.05)
        gate.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [result.outputs[0].data[0] if isinstance(result, Done) else type(result) for result in results] == [
            1,
            2,
            Internal,
            4,
        ]
        assert echo.batches == [1, 3, 1, 1, 1]
        queue.close()

    asyncio.run(main())


def test_a_full_queue_answers_at_once_and_says_when_to_come_back() -> None:
    """At the limit a request waits, one more is refused."""

    async def main() -> None:
        gate = threading.Event()
        echo, queue = Echo(gate), batcher(max_queue=2)
        tasks = [asyncio.create_task(queue.run(echo, one(1), Shape(None), None))]
        await asyncio.sleep(0)
        await asyncio.to_thread(echo.started.wait, 10)
        tasks += [asyncio.create_task(queue.run(echo, one(value), Shape(None), None)) for value in (2, 3)]
        await asyncio.sleep(0)
        with pytest.raises(ResourceExhausted) as raised:
            await queue.run(echo, one(4), Shape(None), None)
        assert raised.value.retry_after
        gate.set()
        assert [done.outputs[0].data[0] for done in await asyncio.gather(*tasks)] == [1, 2, 3]
        queue.close()

    asyncio.run(main())


def test_cancelled_and_expired_requests_never_run() -> None:
    """They leave the queue before the next batch is packed."""

    async def main() -> None:
        gate = threading.Event()
        echo, queue = Echo(gate), batcher()
        first = asyncio.create_task(queue.run(echo, one(1), Shape(K, 1, 1), None))
        await asyncio.sleep(0)
        await asyncio.to_thread(echo.started.wait, 10)
        cancelled = asyncio.create_task(queue.run(echo, one(2), Shape(K, 1, 1), None))
        expired = asyncio.create_task(queue.run(echo, one(3), Shape(K, 1, 1), time.monotonic()))
        last = asyncio.create_task(queue.run(echo, one(4), Shape(K, 1, 1), None))
        await asyncio.sleep(0.01)
        cancelled.cancel()
        await asyncio.sleep(0.01)
        gate.set()
        await asyncio.gather(first, last)
        assert echo.batches == [1, 1]
        expired.cancel()
        queue.close()

    asyncio.run(main())


def test_closing_fails_what_waits_and_lets_the_running_finish() -> None:
    """Nobody is left waiting."""

    async def main() -> None:
        gate = threading.Event()
        echo, queue = Echo(gate), batcher()
        running = asyncio.create_task(queue.run(echo, one(1), Shape(None), None))
        await asyncio.sleep(0)
        await asyncio.to_thread(echo.started.wait, 10)
        waiting = asyncio.create_task(queue.run(echo, one(2), Shape(None), None))
        await asyncio.sleep(0)
        queue.close()
        gate.set()
        results = await asyncio.gather(running, waiting, return_exceptions=True)
        assert isinstance(results[0], Done)
        assert isinstance(results[1], Unavailable)
        with pytest.raises(RpcError):
            await queue.run(echo, one(3), Shape(None), None)

    asyncio.run(main())
