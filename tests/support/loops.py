"""Clients that go on, each in a thread of its own, while a test does something to what they use."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self


class ClientLoops:
    """Calls ``work(number)`` again and again for each of so many clients, as long as its context lasts."""

    def __init__(self, count: int, work: Callable[[int], None]) -> None:
        self._end, self._work = threading.Event(), work
        self._threads = [threading.Thread(target=self._loop, args=(number,)) for number in range(count)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _loop(self, number: int) -> None:
        while not self._end.is_set():
            self._work(number)
