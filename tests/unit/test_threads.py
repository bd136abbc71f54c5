"""The threads that the event loop hands requests to: as many as are needed at the same time, and never more than the limit."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from function.server.threads import ThreadPool

MOST = 4


def test_work_runs_at_once_up_to_the_limit() -> None:
    """One more than the limit waits for a thread, and gets it."""

    async def run() -> None:
        threads, go, begun = ThreadPool(MOST), threading.Event(), threading.Semaphore(0)

        def work() -> int:
            begun.release()
            assert go.wait(20)
            return threading.get_ident()

        futures = [threads.run(work) for _ in range(MOST + 1)]
        for _ in range(MOST):
            assert await asyncio.to_thread(begun.acquire, timeout=20)
        assert not begun.acquire(timeout=0.1)
        go.set()
        assert len(set(await asyncio.gather(*futures))) == MOST

    asyncio.run(run())


def test_one_after_the_other_needs_few_threads() -> None:
    """A thread that has finished takes the next."""

    async def run() -> None:
        threads = ThreadPool(MOST)
        used = {await threads.run(threading.get_ident) for _ in range(50)}
        assert len(used) <= 2, "one may still be on its way back when the next work is there"

    asyncio.run(run())


def test_what_a_call_raises_is_raised_where_it_is_awaited() -> None:
    """The caller gets the exception, and the thread goes on."""

    async def run() -> None:
        threads = ThreadPool(1)
        with pytest.raises(ZeroDivisionError):
            await threads.run(lambda: 1 // 0)
        assert await threads.run(lambda: 7) == 7

    asyncio.run(run())


def test_what_follows_an_answer_does_not_delay_it() -> None:
    """``after`` runs in the thread, once the result is there; its failure is logged and harms nobody."""

    async def run() -> None:
        threads, seen, go = ThreadPool(1), threading.Event(), threading.Event()

        def after(result: int) -> None:
            assert go.wait(20)
            seen.set()
            raise ValueError(result)

        assert await threads.run(lambda: 1, after) == 1
        assert not seen.is_set()
        go.set()
        assert await threads.run(lambda: 2) == 2
        assert seen.is_set()

    asyncio.run(run())


def test_where_no_more_threads_can_be_had_those_that_are_there_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is dropped, and the event loop goes on."""

    async def run() -> None:
        threads, go = ThreadPool(MOST), threading.Event()
        first: Any = threads.run(lambda: go.wait(20))

        def none(_: object) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(threading.Thread, "start", none)
        second = threads.run(lambda: 2)
        go.set()
        assert await first
        assert await second == 2

    asyncio.run(run())
