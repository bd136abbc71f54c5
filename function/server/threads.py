"""Threads that an event loop hands work to, each started when it is first needed: a cold start does not wait for them."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar("Result")

_log = logging.getLogger("function.server")


class ThreadPool:
    """At most ``limit`` threads. Work waits only while all of them are busy."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        # Implemented in C: work is handed over without a condition and its locks.
        self._work = queue.SimpleQueue[Callable[[], None]]()
        self._free = threading.Semaphore(0)
        self._count = 0
        self._finished: deque[tuple[asyncio.Future[Any], Any, BaseException | None]] = deque()
        self._delivery_scheduled = False

    def run(self, call: Callable[[], Result], after: Callable[[Result], None] | None = None) -> asyncio.Future[Result]:
        """Calls ``call`` in a thread; the future has its result or exception.

        ``after`` is called with the result in the same thread, once the event loop has been told.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()

        def work() -> None:
            # The thread is free before the event loop is told, so whoever waited for this call finds it free.
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001 it is raised where the future is awaited
                self._free.release()
                self._hand_over(loop, future, None, error)
                return
            if not after:
                self._free.release()
                self._hand_over(loop, future, result, None)
                return
            self._hand_over(loop, future, result, None)
            try:
                after(result)
            finally:
                self._free.release()

        self._put(work)
        return future

    def _put(self, work: Callable[[], None]) -> None:
        if not self._free.acquire(blocking=False) and self._count < self.limit:
            try:
                threading.Thread(target=self._serve, name=f"request-{self._count}", daemon=True).start()
                self._count += 1
            except RuntimeError:
                # The system starts no more threads: an existing one takes the work.
                if not self._count:
                    raise
        self._work.put(work)

    def _serve(self) -> None:
        while True:
            try:
                self._work.get()()
            except Exception:  # noqa: BLE001 the thread goes on
                _log.exception("work after a response failed")

    def _hand_over(
        self, loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any], result: Any, error: BaseException | None
    ) -> None:
        self._finished.append((future, result, error))
        # One wake-up of the event loop delivers all results that are there by then.
        if not self._delivery_scheduled:
            self._delivery_scheduled = True
            try:
                loop.call_soon_threadsafe(self._deliver)
            except RuntimeError:
                pass  # the event loop has ended, and nobody awaits the future

    def _deliver(self) -> None:
        self._delivery_scheduled = False
        while self._finished:
            future, result, error = self._finished.popleft()
            if future.done():
                continue
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)
