"""How many runs may be sent again: few enough that retries never add to an overload.

A fifth more calls than requests over ten seconds, as Finagle's retry budget, and always as many as
one agent's end may need.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

#: Seconds over which is counted, in parts of one second each.
WINDOW_S = 10
#: Retries for each first call, and those that are allowed whatever else was sent.
SHARE, FLOOR = 0.2, 50


class RetryBudget:
    """Thread-safe. ``clock``: monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._calls, self._retries = [0] * WINDOW_S, [0] * WINDOW_S
        self._second = int(clock())

    def called(self) -> None:
        """Counts the first call of a run."""
        with self._lock:
            self._calls[self._now()] += 1

    def retry(self) -> bool:
        """Whether a run may be sent again; it counts as sent then."""
        with self._lock:
            now = self._now()
            if sum(self._retries) >= FLOOR + SHARE * sum(self._calls):
                return False
            self._retries[now] += 1
            return True

    def _now(self) -> int:
        """The place of the present second; those that have passed since the last call are emptied."""
        second = int(self._clock())
        for passed in range(self._second + 1, min(second, self._second + WINDOW_S) + 1):
            self._calls[passed % WINDOW_S] = self._retries[passed % WINDOW_S] = 0
        self._second = max(second, self._second)
        return self._second % WINDOW_S
