"""Threads that an event loop hands work to. They are started when they are first needed: a start does not wait for them."""

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


class Threads:
    """At most ``most`` threads. Work never waits while another thread may be started."""

    def __init__(self, most: int) -> None:
        self.most = most
        # In C: work is handed on without a condition and its locks.
        self._work = queue.SimpleQueue[Callable[[], None]]()
        self._free = threading.Semaphore(0)
        self._count = 0
        self._done: deque[tuple[asyncio.Future[Any], Any, BaseException | None]] = deque()
        self._waking = False

    def run(self, call: Callable[[], Result], after: Callable[[Result], None] | None = None) -> asyncio.Future[Result]:
        """What ``call`` gives, in a thread. ``after`` is called with it in that thread, once it has been handed over."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()

        def work() -> None:
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001 whoever awaits it is told
                self._hand_over(loop, future, None, error)
                return
            self._hand_over(loop, future, result, None)
            if after:
                after(result)

        self._put(work)
        return future

    def _put(self, work: Callable[[], None]) -> None:
        if not self._free.acquire(blocking=False) and self._count < self.most:
            try:
                threading.Thread(target=self._serve, name=f"request-{self._count}", daemon=True).start()
                self._count += 1
                self._free.acquire()
            except RuntimeError:
                # The system gives no more threads: one of those that are there takes it.
                if not self._count:
                    raise
        self._work.put(work)

    def _serve(self) -> None:
        while True:
            self._free.release()
            try:
                self._work.get()()
            except Exception:  # noqa: BLE001 the thread goes on
                _log.exception("what follows an answer failed")

    def _hand_over(
        self, loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any], result: Any, error: BaseException | None
    ) -> None:
        self._done.append((future, result, error))
        # One wake-up is enough for all that is there by then.
        if not self._waking:
            self._waking = True
            try:
                loop.call_soon_threadsafe(self._deliver)
            except RuntimeError:
                pass  # the loop has ended, and nobody waits any more

    def _deliver(self) -> None:
        self._waking = False
        while self._done:
            future, result, error = self._done.popleft()
            if future.done():
                continue
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)
