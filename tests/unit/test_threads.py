"""The threads that the event loop hands requests to: as many as are needed at the same time, and never more than the limit."""

from __future__ import annotations

import asyncio
import threading
import time
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


def test_one_after_the_other_needs_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread is free once its result is there, however late it gets the processor; an exception is a result too."""

    async def run() -> None:
        threads, loop = ThreadPool(MOST), asyncio.get_running_loop()
        tell = loop.call_soon_threadsafe

        def tell_and_be_late(*what: Any) -> None:
            tell(*what)
            time.sleep(0.002)

        monkeypatch.setattr(loop, "call_soon_threadsafe", tell_and_be_late)
        used = set()
        for _ in range(20):
            used.add(await threads.run(threading.get_ident))
            with pytest.raises(ZeroDivisionError):
                await threads.run(lambda: 1 // 0)
        assert len(used) == 1

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
