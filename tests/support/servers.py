"""Processes under test: started, waited for, and ended, each with a log of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.forked import Forked
from tests.support.paths import ROOT


@dataclass
class ServerProcess:
    """A process under test whose log (standard error and output) goes to a file."""

    process: subprocess.Popen[bytes] | Forked
    log: Path
    addresses: dict[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """What it has logged so far."""
        return self.log.read_text(errors="replace")

    @property
    def peak_memory_mib(self) -> int:
        """The most memory that it has had resident, in MiB. Source: proc(5), VmHWM."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) // 1024

    @property
    def memory_mib(self) -> int:
        """The memory that it has resident now, in MiB. Source: proc(5), VmRSS."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) // 1024

    @property
    def cpu_seconds(self) -> float:
        """The CPU time that it has taken, in seconds. Source: proc(5), utime and stime."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def wait_for(self, pattern: str, seconds: float = 60) -> re.Match[str]:
        """The first match of ``pattern`` in the log; fails with the log when the process ends or time is up."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            match = re.search(pattern, self.text)
            if match:
                return match
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        match = re.search(pattern, self.text)
        if match:
            return match
        raise AssertionError(f"no {pattern!r} in the log (exit code {self.process.poll()}):\n{self.text}")

    def stop(self, sig: int = signal.SIGTERM, seconds: float = 20) -> int:
        """Ends it with a signal; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(sig)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"did not end after signal {sig}:\n{self.text}") from None


def spawn(log: Path, *command: str, env: dict[str, str] | None = None) -> ServerProcess:
    """Starts ``python -m COMMAND...`` with its output in ``log``."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-m", *command], stdout=out, stderr=subprocess.STDOUT, env=environment)
    return ServerProcess(process, log)


def spawn_forked(log: Path, *options: str, env: dict[str, str] | None = None) -> ServerProcess:
    """Starts an agent that has torch already (`benchmarks.forked`), with its output in ``log``."""
    return ServerProcess(Forked(options, log, {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}), log)


def wait_ready(agent: ServerProcess) -> ServerProcess:
    """Waits until an agent is ready and notes its addresses by scheme (``tcp``, ``unix``, ``grpc``, ``grpc+unix``, ``http``)."""
    agent.wait_for(r"vAccel RPC agent ready")
    for scheme, rest in re.findall(r"Listening on '([a-z+]+)://([^']+)'", agent.text):
        agent.addresses[scheme] = f"{scheme}://{rest}"
    return agent


SpawnAgent = Callable[..., ServerProcess]


def python(code: str, **env: str) -> str:
    """What a program prints."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **env}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=True
    ).stdout
