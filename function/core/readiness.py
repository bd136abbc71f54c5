"""Whether the function is ready for requests: what readiness probes are told."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

_log = logging.getLogger("function")


class Readiness:
    """Not ready until an agent can be reached, though for ``wait`` seconds at most, and from `drain` on.

    A function that was ready stays so without an agent: its requests wait for one, and where none
    comes, clients are told. Held back, they would learn nothing, and the pods that take their place
    would find no agent either. ``problem()``: why no agent can be reached now, or None. ``clock``:
    monotonic seconds; the wait begins with this object.
    """

    def __init__(self, problem: Callable[[], str | None], wait: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._problem, self._wait, self._clock = problem, wait, clock
        self._began = clock()
        self._was_ready = False
        self._draining = False

    def reason(self) -> str | None:
        """Why the function is not ready, or None where it is."""
        if self._draining:
            return "shutting down"
        if self._was_ready:
            return None
        problem = self._problem()
        if problem and self._clock() - self._began < self._wait:
            return f"no agent: {problem}"
        self._was_ready = True
        if problem:
            _log.warning("Ready without an agent after %g s (READY_WITHOUT_AGENT_S): %s", self._wait, problem)
        return None

    def drain(self) -> None:
        """The function is not ready from now on."""
        self._draining = True
