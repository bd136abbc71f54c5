"""Which requests run together, as tables; and that every failure reaches who waits."""

from __future__ import annotations

import asyncio
import errno
import gc
import threading
import time
import weakref
from collections.abc import Callable, Sequence

import pytest

from agent.batching.batcher import Batcher
from agent.batching.packing import BatchLimits, pack, why
from agent.batching.requests import BatchReport, CompletedRun, Part
from agent.engines.contract import Batch
from agent.engines.cost import UNKNOWN, Cost
from agent.engines.layout import Shape
from vaccel_rpc.errors import Internal, ResourceExhausted, RpcError, Unavailable
from vaccel_rpc.tensors import Tensor, from_values

K = "key"


#: A batch takes 10, and 1 for each token.
TOKENS = Cost(10, 0, 1, 0)


@pytest.mark.parametrize(
    ("waiting", "limits", "cost", "chosen"),
    [
        ([(K, 10, 1)], BatchLimits(), UNKNOWN, [0]),
        ([(None, 0, 1), (None, 0, 1)], BatchLimits(), UNKNOWN, [0]),
        ([(K, 10, 1), (None, 0, 1), (K, 10, 1)], BatchLimits(), UNKNOWN, [0, 2]),
        ([(K, 10, 1), ("other", 10, 1)], BatchLimits(), UNKNOWN, [0]),
        ([(K, 10, 1)] * 5, BatchLimits(rows=4), UNKNOWN, [0, 1, 2, 3]),
        ([(K, 10, 2)] * 3, BatchLimits(rows=5), UNKNOWN, [0, 1]),
        ([(K, 10, 9), (K, 10, 1)], BatchLimits(rows=8), UNKNOWN, [0]),
        ([(K, 10, 1), (K, 30, 1), (K, 20, 1)], BatchLimits(rows=2), UNKNOWN, [0, 2]),
        ([(K, 10, 1)] * 5, BatchLimits(tokens=30), UNKNOWN, [0, 1, 2]),
        ([(K, 99, 1)], BatchLimits(tokens=30), UNKNOWN, [0]),
        # Together 10 + 2 * 20, apart 20 + 30: equal, so together. One token more is too much.
        ([(K, 10, 1), (K, 20, 1)], BatchLimits(), TOKENS, [0, 1]),
        ([(K, 10, 1), (K, 21, 1)], BatchLimits(), TOKENS, [0]),
        ([(K, 21, 1), (K, 10, 1), (K, 12, 1)], BatchLimits(), TOKENS, [0, 2]),
        # A tenth of 100 is the fixed 10: 9 rows of 10 tokens, and no tenth.
        ([(K, 10, 1)] * 12, BatchLimits(overhead=0.1), TOKENS, [*range(9)]),
        ([(K, 10, 9), (K, 10, 1)], BatchLimits(overhead=0.1), TOKENS, [0]),
        ([(K, 500, 1), (K, 500, 1)], BatchLimits(overhead=0.1), TOKENS, [0]),
        # Nothing fixed: nothing to win.
        ([(K, 10, 1)] * 2, BatchLimits(), Cost(0, 0, 1, 0), [0]),
    ],
)
def test_pack(waiting: list[tuple[str | None, int, int]], limits: BatchLimits, cost: Cost, chosen: list[int]) -> None:
    """The oldest always runs; its nearest in length of the same key join while limits allow and it is quicker than apart."""
    assert pack([Shape(*shape) for shape in waiting], limits, cost) == chosen


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
        ([(K, 60, 1)] * 4, [0], 8, "tokens"),
    ],
)
def test_why_a_batch_is_no_larger(waiting: list[tuple[str | None, int, int]], chosen: list[int], share: int, reason: str) -> None:
    """Each batch has one reason, the first that holds; the time or the memory of a larger one are both ``tokens``."""
    limits = BatchLimits(rows=8, overhead=0.1, tokens=100)
    assert why([Shape(*shape) for shape in waiting], chosen, BatchLimits(rows=share, tokens=100), limits, TOKENS) == reason


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
    return [from_values("uint8", [len(values)], values)]


def part(*values: int, length: int = 1) -> Part:
    return one(*values), Shape(K, length, len(values))


ALONE = (one(1), Shape(None))


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
        tasks += [asyncio.create_task(queue.run(echo, [part(*given)], None)) for given in ((2,), (3,), (4, 5))]
        await asyncio.sleep(0.05)
        gate.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [values(result) for result in results] == [[1], [2], [3], ResourceExhausted]
        assert echo.batches == [1, 4, 2, 1, 1, 2]
        assert queue.largest_batch(echo, 1) == 1
        queue.close()

    asyncio.run(main())


def test_programs_take_turns_by_the_time_they_take() -> None:
    """A slow program with much to do does not keep a quick one waiting: each gets half of the worker's time."""

    async def main() -> None:
        ran: list[str] = []
        gate = threading.Event()
        first, slow, quick = EchoProgram(gate), EchoProgram(seconds=0.04), EchoProgram(seconds=0.01)
        queue = batcher(limits=BatchLimits(rows=1), observe=lambda report: ran.append(report.model))
        tasks = [await held(queue, first)]
        tasks += [asyncio.create_task(queue.run(slow, [part(1)], None, "slow")) for _ in range(8)]
        await asyncio.sleep(0.01)
        tasks += [asyncio.create_task(queue.run(quick, [part(1)], None, "quick")) for _ in range(8)]
        await asyncio.sleep(0.01)
        gate.set()
        await asyncio.gather(*tasks)
        both = [model for model in ran if model]
        last_quick = len(both) - 1 - both[::-1].index("quick")
        assert both[:last_quick].count("slow") <= 5, both
        assert both.index("quick") <= 1
        queue.close()

    asyncio.run(main())


def test_a_program_that_was_idle_has_no_claim_on_the_past() -> None:
    """Who comes late takes turns from then on, and does not take the worker for itself."""

    async def main() -> None:
        ran: list[str] = []
        busy, late = EchoProgram(seconds=0.02), EchoProgram(seconds=0.02)
        queue = batcher(limits=BatchLimits(rows=1), observe=lambda report: ran.append(report.model))
        await asyncio.gather(*(queue.run(busy, [part(1)], None, "busy") for _ in range(10)))
        await asyncio.gather(*(queue.run(program, [part(1)], None, name) for _ in range(6)
                               for program, name in ((busy, "busy"), (late, "late"))))  # fmt: skip
        assert 2 <= ran[10:18].count("busy") <= 6, ran
        queue.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("max_queue", "max_tokens", "waiting", "more", "says"),
    [
        (3, 1000, part(2, 3), part(4, 5), "more than 3 texts (--max-queue)"),
        (100, 20, part(2, length=15), part(3, length=6), "more than 20 tokens (--max-queue-tokens)"),
    ],
)
def test_a_full_queue_answers_at_once_and_says_when_to_come_back(
    max_queue: int, max_tokens: int, waiting: Part, more: Part, says: str
) -> None:
    """Texts are counted, and tokens in them: at the limit a request waits, one more is refused."""

    async def main() -> None:
        gate = threading.Event()
        echo, queue = EchoProgram(gate), batcher(max_queue, max_queue_tokens=max_tokens)
        tasks = [await held(queue, echo), asyncio.create_task(queue.run(echo, [waiting], None))]
        await asyncio.sleep(0)
        with pytest.raises(ResourceExhausted) as raised:
            await queue.run(echo, [more], None)
        assert says in raised.value.message
        assert raised.value.reason == "queue"
        assert raised.value.retry_after
        last = (one(9), Shape(K, 5)) if max_tokens == 20 else part(9)
        tasks.append(asyncio.create_task(queue.run(echo, [last], None)))
        await asyncio.sleep(0)
        gate.set()
        assert [values(result) for result in await asyncio.gather(*tasks)] == [[1], [*waiting[0][0].data], [9]]
        queue.close()

    asyncio.run(main())


def test_a_request_larger_than_the_queue_is_taken_where_nobody_waits() -> None:
    """It would never be otherwise."""

    async def main() -> None:
        queue = batcher(2)
        assert values(await queue.run(EchoProgram(), [part(1, 2), part(3, 4)], None)) == [1, 2, 3, 4]
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
    """Of several parts that fail one failure is told."""

    async def main() -> None:
        queue = batcher()
        with pytest.raises(Internal):
            await queue.run(EchoProgram(), [part(13), part(13), part(13)], None)
        await asyncio.sleep(0.05)
        queue.close()

    asyncio.run(main())
    gc.collect()
    assert "never retrieved" not in caplog.text


def test_who_waits_for_company_keeps_no_other_program_waiting() -> None:
    """With a delay a lone request waits; one that cannot be joined runs meanwhile."""

    async def main() -> None:
        queue = Batcher(1, BatchLimits(), max_queue=9, max_queue_tokens=99, max_delay=0.5, observe=lambda _: None)
        patient, other = EchoProgram(), EchoProgram()
        waiting = asyncio.create_task(queue.run(patient, [part(1)], None))
        await asyncio.sleep(0.02)
        assert values(await asyncio.wait_for(queue.run(other, [ALONE], None), 0.3)) == [1]
        assert not waiting.done()
        assert values(await waiting) == [1]
        queue.close()

    asyncio.run(main())


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
    """Nobody is left waiting."""

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
