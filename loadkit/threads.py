"""Clients that go on, each in a thread of its own, while something else is done to what they use."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self


class ClientThreads:
    """Runs ``client(number, end)`` for each of so many clients, as long as its context lasts.

    ``end`` is set when the context ends, which waits until all have returned.
    """

    def __init__(self, count: int, client: Callable[[int, threading.Event], None]) -> None:
        self._end = threading.Event()
        self._threads = [threading.Thread(target=client, args=(number, self._end), daemon=True) for number in range(count)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()
