"""Idle sessions: the memory that they hold in the agent, and the latency of an active client beside
them.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import echo
from benchmarks.parts.hop import repeated
from benchmarks.plan import Record, Run
from benchmarks.rpc import ModelClient
from loadkit import servers
from loadkit.processes import ROOT
from loadkit.stats import milliseconds
from loadkit.usage import cpu_seconds, memory_mib
from vaccel_rpc.tensors import Tensor

_CONNECTIONS = 1000


def measure(run: Run) -> list[Record]:
    """Records by the number of idle ``sessions`` on up to 1,000 ``connections``."""
    largest = max(run.plan.sessions)
    options = ("--max-sessions", str(largest + 10), "--max-connections", str(_CONNECTIONS + 10))
    records: list[Record] = []
    with tempfile.TemporaryDirectory() as folder:
        echo.save(Path(folder))
        for repeat in range(run.plan.repeats):
            with (
                servers.agent(options=options, models=folder, preload="echo0") as agent,
                ModelClient(agent.address, "echo0") as client,
            ):
                for sessions in (0, *run.plan.sessions):
                    run.log(f"{sessions} idle sessions")
                    connections = min(_CONNECTIONS, sessions)
                    with _idle(agent.address, connections, sessions):
                        record = _active(client, agent.pid, 2 * run.plan.hop_seconds)
                    records.append({"repeat": repeat, "sessions": sessions, "connections": connections, **record})
    return records


def _active(client: ModelClient, pid: int, seconds: float) -> Record:
    """What the active client sees, and what each of its calls costs the agent."""
    tensor = Tensor("int64", (1,), bytes(8))
    before = cpu_seconds(pid)
    durations = repeated(lambda: client.run([tensor]), seconds)
    spent = 1000 * (cpu_seconds(pid) - before) / len(durations)
    return {**milliseconds(durations), "agent_ms": spent, "memory": memory_mib(pid)}


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
