"""Deadlines of much that runs at the same time: one timer for all costs less than to arm and to cancel one for each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

#: Seconds by which a deadline may be exceeded.
TICK_S = 0.01

T = TypeVar("T", bound=Hashable)


class Deadlines(Generic[T]):
    """Calls ``expire`` with each item whose deadline has passed, at most `TICK_S` later, in the event loop."""

    def __init__(self, expire: Callable[[T], None]) -> None:
        self._expire = expire
        self._items: dict[T, float] = {}
        self._ticking = False

    def add(self, item: T, deadline: float) -> None:
        """Ends an item at ``deadline`` (monotonic seconds) unless it is removed before."""
        self._items[item] = deadline
        if not self._ticking:
            self._ticking = True
            asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def remove(self, item: T) -> None:
        """Forgets an item, if it is still there."""
        self._items.pop(item, None)

    def _tick(self) -> None:
        now = time.monotonic()
        for item in [item for item, deadline in self._items.items() if deadline <= now]:
            del self._items[item]
            self._expire(item)
        self._ticking = bool(self._items)
        if self._ticking:
            asyncio.get_running_loop().call_later(TICK_S, self._tick)
