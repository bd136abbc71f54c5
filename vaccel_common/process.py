"""A process in a container: it ends on SIGTERM, as process 1 it reaps orphans, and it knows its memory."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path
from types import FrameType


def end_on_sigterm() -> None:
    """Until a server handles the signal itself, SIGTERM ends the process with exit code 0.

    As process 1 of a container it would be ignored otherwise: the kernel has no default action
    there.
    """
    signal.signal(signal.SIGTERM, _end)


def reap_children() -> None:
    """Reaps every child that has ended.

    Process 1 is the parent of every orphan of its container.
    """
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def resident_memory() -> int:
    """Bytes that the process has in memory. Source: proc(5), ``statm``."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def _end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 as `signal` calls it
    sys.exit(0)
