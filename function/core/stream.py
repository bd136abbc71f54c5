"""Runs any number of items in parts and yields their results in the same order, with bounded memory: a
little is read ahead, and a few parts are in flight."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Arriving(Generic[Item]):
    """Items of a blocking source, read by a thread of its own that stays at most ``ahead`` items ahead."""

    def __init__(self, source: Iterable[Item], ahead: int) -> None:
        self._source = source
        self._waiting: queue.Queue[Item | None] = queue.Queue(maxsize=ahead)
        self.failure: Exception | None = None
        self._closed = threading.Event()
        self._over = False
        threading.Thread(target=self._read, name="lines", daemon=True).start()

    @property
    def idle(self) -> bool:
        """Whether no item is waiting, and more may come."""
        return not self._over and self._waiting.empty()

    def take(self, limit: int) -> list[Item]:
        """Waits for an item and takes those that are there, at most ``limit``; none at the end."""
        taken: list[Item] = []
        while len(taken) < limit and not self._over and (not taken or not self._waiting.empty()):
            item = self._waiting.get()
            if item is None:
                self._over = True
            else:
                taken.append(item)
        return taken

    def close(self) -> None:
        """No more items are wanted; the thread ends as soon as the source lets it."""
        self._closed.set()

    def _read(self) -> None:
        try:
            for item in self._source:
                if not self._put(item):
                    return
        except Exception as error:  # noqa: BLE001 it is raised after the last result
            self.failure = error
        self._put(None)

    def _put(self, item: Item | None) -> bool:
        while not self._closed.is_set():
            try:
                self._waiting.put(item, timeout=0.5)
            except queue.Full:
                continue
            return True
        return False


def in_order(arriving: Arriving[Item], run: Callable[[list[Item]], Result], *, size: int, jobs: int) -> Iterator[Result]:
    """``run`` of parts of at most ``size`` items, ``jobs`` parts at a time; a result is not held back for items to come.

    Raises what ``run`` raises, and what the source raised, after the results of what it gave before.
    """
    flying: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(jobs, thread_name_prefix="part")
    try:
        while True:
            if flying and (len(flying) >= jobs or arriving.idle):
                yield flying.popleft().result()
                continue
            part = arriving.take(size)
            if not part:
                break
            flying.append(pool.submit(run, part))
        while flying:
            yield flying.popleft().result()
        if arriving.failure:
            raise arriving.failure
    finally:
        arriving.close()
        pool.shutdown(wait=False, cancel_futures=True)
