"""Measures how long each phase of a cold start took."""

from __future__ import annotations

import os
import time
from pathlib import Path


class Phases(dict[str, float]):
    """Seconds of each phase, in order; the first, ``interpreter``, lasts from the process's start to the creation of this object."""

    def __init__(self) -> None:
        super().__init__()
        self._last = time.monotonic()
        started = _process_start()
        if started is not None:
            self["interpreter"] = max(0.0, self._last - started)

    def end(self, phase: str) -> None:
        """Ends a phase, which began when the one before ended."""
        now = time.monotonic()
        self[phase] = now - self._last
        self._last = now


def _process_start() -> float | None:
    """When this process began, in the seconds of ``time.monotonic``; None where /proc does not say. Source: proc(5)."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        booted = float(Path("/proc/uptime").read_text().split()[0])
    except OSError:
        return None
    age = booted - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.monotonic() - age
