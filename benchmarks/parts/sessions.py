"""Idle sessions: what they hold in the agent, and whether an active client beside them is slower."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import echo, targets
from benchmarks.parts.hop import repeated
from benchmarks.plan import Record, Run
from loadkit.processes import ROOT, cpu_seconds, memory_mib
from loadkit.stats import percentile
from vaccel_rpc.addresses import parse
from vaccel_rpc.channels import connect
from vaccel_rpc.client import VaccelClient
from vaccel_rpc.tensors import Tensor

_CONNECTIONS = 1000


def measure(run: Run) -> list[Record]:
    """Records by ``sessions`` (0: none but the active client's) on up to 1,000 ``connections``."""
    most = max(run.plan.sessions)
    options = ("--max-sessions", str(most + 10), "--max-connections", str(_CONNECTIONS + 10))
    found: list[Record] = []
    with tempfile.TemporaryDirectory() as folder:
        echo.save(Path(folder))
        for repeat in range(run.plan.repeats):
            with targets.agent("unix://", options, models=folder, preload="echo0") as (address, pid):
                active = _Active(address, pid)
                for sessions in (0, *run.plan.sessions):
                    run.say(f"{sessions} idle sessions")
                    connections = min(_CONNECTIONS, sessions)
                    with _idle(address, connections, sessions):
                        found.append({"repeat": repeat, "sessions": sessions, "connections": connections, **active.measure(run)})
    return found


class _Active:
    """The client that is measured."""

    def __init__(self, address: str, pid: int) -> None:
        self._pid = pid
        self._client = VaccelClient(connect(parse(address), 5))
        self._session = self._client.create_session()
        self._model = self._client.register_path(self._session, "echo0")
        self._tensor = Tensor("int64", (1,), bytes(8))

    def measure(self, run: Run) -> Record:
        before = cpu_seconds(self._pid)
        taken = repeated(self._call, 2 * run.plan.hop_seconds)
        spent = 1000 * (cpu_seconds(self._pid) - before) / len(taken)
        times = {"median_ms": 1000 * percentile(taken, 0.5), "p99_ms": 1000 * percentile(taken, 0.99)}
        return {**times, "agent_ms": spent, "memory": memory_mib(self._pid)}

    def _call(self) -> None:
        self._client.run(self._session, self._model, [self._tensor], 1, timeout=30)


@contextlib.contextmanager
def _idle(address: str, connections: int, sessions: int) -> Iterator[None]:
    if not sessions:
        yield
        return
    command = [sys.executable, "-m", "benchmarks.idle", address, str(connections), str(sessions)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        if process.stdout.readline() != "ready\n":
            raise RuntimeError("the idle sessions could not be opened")
        yield
        process.communicate()
