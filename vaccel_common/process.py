"""What a process does before it serves."""

from __future__ import annotations

import signal
import sys
from types import FrameType


def end_on_sigterm() -> None:
    """Until a server takes the signal over, SIGTERM ends the process with exit code 0.

    As process 1 of a container it would be ignored otherwise: the kernel has no default action there.
    """
    signal.signal(signal.SIGTERM, _end)


def _end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 as `signal` calls it
    sys.exit(0)
