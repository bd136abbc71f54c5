"""A process ends on signals; in a container it also reaps orphans as process 1, and knows its memory."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess

#: Held while children are reaped.
_reaping = threading.Lock()
#: The exit codes of children for `reaped_code`.
_codes: dict[int, int | None] = {}


def end_on_sigterm() -> None:
    """Until a server handles the signal itself, SIGTERM ends the process with exit code 0.

    As process 1 of a container it would be ignored otherwise: the kernel has no default action
    there.
    """
    signal.signal(signal.SIGTERM, _end)


def end_on_signals() -> None:
    """SIGTERM and SIGHUP end a tool as an exception does: what it has begun is removed, and the exit code is 128 and the number.

    A signal that is ignored stays so, as under nohup.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _unwind)


def reap_children() -> None:
    """Reaps every child that has ended.

    Process 1 is the parent of every orphan of its container. Of its own children, who waits for one
    that was reaped here learns its exit code by `reaped_code`.
    """
    with _reaping, contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] in _codes:
                _codes[ended[0]] = os.waitstatus_to_exitcode(ended[1])


def keep_code(pid: int) -> None:
    """Has the exit code of a child kept for `reaped_code`, which is to be called once."""
    with _reaping:
        _codes[pid] = None


def reaped_code(pid: int) -> int | None:
    """The exit code of a child, as `subprocess` has it; None where it was not reaped here."""
    with _reaping:
        return _codes.pop(pid, None)


def exit_code(child: subprocess.Popen[bytes]) -> int | None:
    """The exit code of a child for which `keep_code` was called, whoever has reaped it; to be called once. None: it runs."""
    code = reaped_code(child.pid)
    return child.returncode if code is None else code


def resident_memory(pid: int | None = None) -> int:
    """Bytes that a process has in memory, without a ``pid`` this one. Source: proc(5), ``statm``."""
    statm = Path(f"/proc/{'self' if pid is None else pid}/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def _end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 as `signal` calls it
    sys.exit(0)


def _unwind(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 as `signal` calls it
    # A terminal that closes sends SIGHUP several times, which must not interrupt the removal.
    for signal_number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signal_number, signal.SIG_IGN)
    sys.exit(128 + number)
