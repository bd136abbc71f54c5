"""How many cores the process may use, by its affinity and its container's quota."""

from __future__ import annotations

import math
import os
from pathlib import Path


def available() -> int:
    """Cores, at least 1.

    Source: sched_getaffinity(2); cgroup v2's cpu.max, cgroup v1's cpu.cfs_quota_us.
    """
    cores = len(os.sched_getaffinity(0))
    quota = _quota()
    return max(1, min(cores, math.ceil(quota))) if quota else cores


def _quota() -> float | None:
    try:
        limit, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return None if limit == "max" else int(limit) / int(period)
    except (OSError, ValueError):
        pass  # cgroup v1
    try:
        folder = Path("/sys/fs/cgroup/cpu")
        quota = int((folder / "cpu.cfs_quota_us").read_text())
        return quota / int((folder / "cpu.cfs_period_us").read_text()) if quota > 0 else None
    except (OSError, ValueError):
        return None
