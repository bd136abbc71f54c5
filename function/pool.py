"""The server's threads, started when they are first needed: a start does not wait for them, and a quiet function has few."""

from __future__ import annotations

import queue
import threading
from typing import Any

from cheroot.workers.threadpool import ThreadPool


class Pool(ThreadPool):  # type: ignore[misc]
    """cheroot's pool, of at most ``most`` threads. A request never waits while a thread may still be started."""

    def __init__(self, server: Any, most: int) -> None:
        super().__init__(server, min=1, max=most)
        # In C: a request is handed on without a condition and its locks.
        self._queue = queue.SimpleQueue[Any]()
        self._free = threading.Semaphore(0)
        self.get = self._next

    def put(self, obj: Any) -> None:
        """A connection that has something to answer."""
        if not self._free.acquire(blocking=False) and len(self._threads) < self.max:
            try:
                self.grow(1)
                self._free.acquire()
            except RuntimeError:
                pass  # the system gives no more threads: one of those that are there takes it
        self._queue.put(obj)

    def grow(self, amount: int) -> None:
        """Starts threads. The library's own sleeps until each has begun."""
        self._threads += [self._spawn_worker() for _ in range(amount)]

    def _next(self) -> Any:
        self._free.release()
        return self._queue.get()
