"""How busy an agent is, and how long it would take for one run more. Pure but for its lock."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

#: Seconds after which an observation counts a third (1/e) of a new one.
_MEMORY_S = 5.0
#: Seconds without a run after which an agent is taken for twice as quick as it was: else one that
#: was slow for a moment would never be tried again.
_FORGIVE_S = 10.0


class OutstandingRun:
    """A run that an agent has not answered yet. ``at``: monotonic seconds; ``ahead``: its tokens and those before it."""

    __slots__ = ("ahead", "at", "tokens")

    def __init__(self, at: float, tokens: int, ahead: int) -> None:
        self.at, self.tokens, self.ahead = at, tokens, ahead


class Load:
    """One agent's load, by what its client has sent and has had answered.

    Work is counted in tokens, and the pace is that of the whole way: seconds for each token that is
    outstanding when a run is sent, its own included. So an agent that is far, slow or used by others
    has a slow pace, and one with a deep queue is not taken for a slow one.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        #: In the order in which they were sent.
        self._running: dict[OutstandingRun, None] = {}
        self.outstanding = 0
        self._seconds = self._work = 0.0
        #: Runs that it has answered.
        self.answered = 0
        self._observed = clock()

    @property
    def runs(self) -> int:
        """Runs that are not answered yet."""
        return len(self._running)

    @property
    def oldest(self) -> float | None:
        """When the oldest of them was sent (monotonic seconds)."""
        with self._lock:
            run = next(iter(self._running), None)
        return None if run is None else run.at

    def begin(self, tokens: int) -> OutstandingRun:
        """Notes that a run of so many tokens is sent."""
        with self._lock:
            self.outstanding += tokens
            run = OutstandingRun(self._clock(), tokens, self.outstanding)
            self._running[run] = None
        return run

    def end(self, run: OutstandingRun, *, answered: bool) -> None:
        """Notes that a run is over. Only what was ``answered`` says how quick the agent is. Once for each run."""
        with self._lock:
            if self._running.pop(run, run) is run:
                return
            self.outstanding -= run.tokens
            if answered:
                self.answered += 1
                self._observe(self._clock(), run)

    def pace(self) -> float | None:
        """Seconds for a token; None where nothing is known."""
        now = self._clock()
        with self._lock:
            oldest = next(iter(self._running), None)
            # What is not answered yet is slower than that already.
            overdue = (now - oldest.at) / oldest.ahead if oldest else 0.0
            if not self._work:
                return overdue or None
            idle = 0.0 if oldest else now - self._observed
            forgiven: float = 0.5 ** (idle / _FORGIVE_S)
            return max(self._seconds / self._work * forgiven, overdue)

    def _observe(self, now: float, run: OutstandingRun) -> None:
        kept = math.exp((self._observed - now) / _MEMORY_S)
        self._seconds = self._seconds * kept + (now - run.at)
        self._work = self._work * kept + run.ahead
        self._observed = now
