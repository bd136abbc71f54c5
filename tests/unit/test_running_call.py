"""Calls that are stepped without a task: when they begin, how they end, and their deadlines."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar

import pytest

from agent.running_call import RunningCall
from vaccel_common.deadlines import Deadlines
from vaccel_rpc.wire import Parts

Ended = list[tuple[Parts, BaseException | None]]

variable = ContextVar("variable", default="of nobody")


def begun(body: Callable[[], Awaitable[Parts]]) -> tuple[RunningCall, Ended]:
    """A call with that body, and how it has ended."""
    ended: Ended = []

    async def steps(_: RunningCall) -> Parts:
        return await body()

    return RunningCall(steps, lambda reply, error: ended.append((reply, error))), ended


def test_a_call_that_waits_for_nothing_ends_at_once() -> None:
    """No event loop is needed: it has ended when it is made, with its reply or its error."""

    async def replies() -> Parts:
        return [b"reply"]

    async def fails() -> Parts:
        raise ValueError("no reply")

    call, ended = begun(replies)
    assert ended == [([b"reply"], None)]
    assert not call.waits
    _, ((reply, error),) = begun(fails)
    assert (reply, str(error)) == ((), "no reply")


def test_a_call_waits_in_its_own_context() -> None:
    """Its first step is taken at once, the next when the future is done, and no other call sees what it sets."""

    async def run() -> None:
        future = asyncio.get_running_loop().create_future()

        async def waits() -> Parts:
            variable.set("of the call")
            await future
            return [variable.get().encode(), await future]

        call, ended = begun(waits)
        assert (variable.get(), call.waits, ended) == ("of nobody", True, [])
        future.set_result(b"x")
        await asyncio.sleep(0)
        assert ended == [([b"of the call", b"x"], None)]

    asyncio.run(run())


@pytest.mark.parametrize("expires", [False, True])
def test_a_call_is_cancelled(expires: bool) -> None:
    """At its deadline, or before; a call that is removed is left alone."""

    async def run() -> None:
        deadlines = Deadlines(RunningCall.expire)

        async def waits() -> Parts:
            await asyncio.get_running_loop().create_future()
            return []

        (call, ended), (other, others) = begun(waits), begun(waits)
        deadlines.add(call, time.monotonic() + (0.02 if expires else 60))
        deadlines.add(other, time.monotonic() + 0.02)
        deadlines.remove(other)
        if not expires:
            call.cancel()
        async with asyncio.timeout(10):
            while not ended:
                await asyncio.sleep(0.005)
        assert isinstance(ended[0][1], asyncio.CancelledError)
        assert (call.expired, others) == (expires, [])
        other.cancel()
        deadlines.remove(call)
        await asyncio.sleep(0)

    asyncio.run(run())
