"""What processes use: memory, CPU time, threads and descriptors. Source: proc(5)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    """The resident memory of a process in MiB. Source: proc(5), VmRSS."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def memory_mib(*pids: int) -> dict[str, float]:
    """Resident (``rss``) and proportional (``pss``) memory in MiB of processes and their
    descendants. Source: proc(5).
    """
    sizes = {"rss": 0.0, "pss": 0.0}
    for pid in tree(*pids):
        with contextlib.suppress(OSError):  # The process may have ended.
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                name = line.partition(":")[0].lower()
                if name in sizes:
                    sizes[name] += int(line.split()[1]) / 1024
    return sizes


def tree(*pids: int) -> list[int]:
    """The processes and their descendants. Source: proc(5)."""
    processes = list(pids)
    for pid in processes:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                processes += [int(child) for child in (task / "children").read_text().split()]
    return processes


def threads(pid: int) -> int:
    """The number of threads of a process."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def descriptors(pid: int) -> int:
    """The number of descriptors that a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def cpu_seconds(*pids: int) -> float:
    """CPU time of processes and their descendants, user and system.

    Source: proc(5), utime and stime.
    """
    total = 0.0
    for pid in tree(*pids):
        with contextlib.suppress(OSError):
            total += _seconds(Path(f"/proc/{pid}/stat"))
    return total


def _seconds(stat: Path) -> float:
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def thread_seconds(pid: int) -> tuple[float, float]:
    """CPU time of a process's main thread, and of its other threads, ended ones included.

    Source: proc(5), utime and stime.
    """
    main, whole = (_seconds(Path(f"/proc/{pid}/{name}")) for name in (f"task/{pid}/stat", "stat"))
    return main, whole - main


def machine_seconds() -> float:
    """CPU time of the whole machine since it started, without the idle time.

    Source: proc(5), /proc/stat.
    """
    user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:9])
    return (user + nice + system + irq + softirq + steal) / _TICKS


def busy_seconds() -> float:
    """CPU time of this process and of those of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def growth(samples: Sequence[float]) -> tuple[str, bool]:
    """What became of a process's memory in MiB, in words, and whether it stayed flat.

    The first tenth of the samples is the time in which a process warms up: buffers, threads, kinds
    of errors.
    """
    tenth = len(samples) // 10
    settled, last = max(samples[: tenth + 1]), max(samples[-max(1, tenth) :])
    text = f"resident memory: {samples[0]:.0f} MiB at the start, {settled:.0f} after a tenth, {last:.0f} at the end"
    return text, last <= settled * 1.1 + 16
