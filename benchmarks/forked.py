"""Agents forked from a process that has imported torch: processes of their own, without the seconds that the import takes.

What a forked agent does not show is how Python itself starts and ends. Tests of that start ``python -m agent``.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from multiprocessing.context import ForkServerContext
from pathlib import Path

#: What `agent.__main__` sets before torch is imported, which happens in the fork server.
_OPENMP = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "10000"}


class Forked:
    """One of them, with `subprocess.Popen`'s methods."""

    def __init__(self, options: Sequence[str], log: Path, env: Mapping[str, str]) -> None:
        log.touch()
        self._process = _context().Process(target=_run, args=(tuple(options), str(log), dict(env)))
        self._process.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit code, or minus the signal that ended it; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """See `returncode`."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, at its end. Raises ``subprocess.TimeoutExpired``."""
        self._process.join(timeout)
        code = self.returncode
        if code is None:
            raise subprocess.TimeoutExpired("agent", timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        """Sends it a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


@cache
def _context() -> ForkServerContext:
    for name, value in _OPENMP.items():
        os.environ.setdefault(name, value)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["agent.__main__", "agent.server", "agent.engines.torch"])
    return context


def _run(options: Sequence[str], log: str, env: Mapping[str, str]) -> None:
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for descriptor in (1, 2):
        os.dup2(out, descriptor)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = ["vaccel-rpc-agent", *options]
    from agent.__main__ import main

    main(list(options), prog_name="vaccel-rpc-agent")
