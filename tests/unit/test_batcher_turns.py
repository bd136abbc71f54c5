"""Programs that share the workers: whose turn it is, and what waits for whom."""

from __future__ import annotations

import asyncio
import threading

import pytest

from agent.batching.batcher import Batcher
from agent.batching.requests import Part
from agent.engines.layout import Shape
from agent.packing import BatchLimits
from tests.support.programs import ALONE, EchoProgram, K, batcher, held, one, part, values
from vaccel_rpc.errors import ResourceExhausted


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
    """A program that comes late shares the worker from then on, and does not occupy it alone."""

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
    """A request that could never fit is taken by an empty queue."""

    async def main() -> None:
        queue = batcher(2)
        assert values(await queue.run(EchoProgram(), [part(1, 2), part(3, 4)], None)) == [1, 2, 3, 4]
        queue.close()

    asyncio.run(main())


def test_who_waits_for_company_keeps_no_other_program_waiting() -> None:
    """With a delay a lone request waits; one that cannot be joined runs meanwhile."""

    async def main() -> None:
        queue = Batcher(1, BatchLimits(), max_queue=9, max_queue_tokens=99, max_delay=2, observe=lambda _: None)
        patient, other = EchoProgram(), EchoProgram()
        waiting = asyncio.create_task(queue.run(patient, [part(1)], None))
        await asyncio.sleep(0.02)
        assert values(await asyncio.wait_for(queue.run(other, [ALONE], None), 1.8)) == [1]
        assert not waiting.done()
        assert values(await waiting) == [1]
        queue.close()

    asyncio.run(main())
