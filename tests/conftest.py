"""Real agents in processes of their own, and the models they serve."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.forked import Forked

if TYPE_CHECKING:
    from tests.fakecluster import FakeCluster

ROOT = Path(__file__).parent.parent
MODELS = ROOT / "models"
TWEETS = MODELS / "tweets.pt"


@dataclass
class Server:
    """A process under test whose log (standard error and output) goes to a file."""

    process: subprocess.Popen[bytes] | Forked
    log: Path
    addresses: dict[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """What it has logged so far."""
        return self.log.read_text(errors="replace")

    def wait_for(self, pattern: str, seconds: float = 60) -> re.Match[str]:
        """The first match of ``pattern`` in the log; fails with the log when the process ends or time is up."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = re.search(pattern, self.text)
            if found:
                return found
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        found = re.search(pattern, self.text)
        if found:
            return found
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


def spawn(log: Path, *command: str, env: dict[str, str] | None = None) -> Server:
    """Starts ``python -m COMMAND...`` with its output in ``log``."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-m", *command], stdout=out, stderr=subprocess.STDOUT, env=environment)
    return Server(process, log)


def spawn_forked(log: Path, *options: str, env: dict[str, str] | None = None) -> Server:
    """Starts an agent that has torch already (`tests.forked`), with its output in ``log``."""
    return Server(Forked(options, log, {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}), log)


def wait_ready(agent: Server) -> Server:
    """Waits until an agent is ready and notes its addresses by scheme (``tcp``, ``unix``, ``grpc``, ``grpc+unix``, ``http``)."""
    agent.wait_for(r"vAccel RPC agent ready")
    for scheme, rest in re.findall(r"Listening on '([a-z+]+)://([^']+)'", agent.text):
        agent.addresses[scheme] = f"{scheme}://{rest}"
    return agent


SpawnAgent = Callable[..., Server]


@pytest.fixture
def spawn_agent(tmp_path: Path) -> Iterator[SpawnAgent]:
    """``spawn_agent(*options)``: an agent of its own, ended with the test. Without ``-a`` it listens on a unix socket.

    ``ready``: waits until it is. ``fresh``: ``python -m agent``, where a test is about how a process starts or ends; else it is
    forked from one that has imported torch.
    """
    with contextlib.ExitStack() as stack:
        count = iter(range(100))

        def start(*options: str, ready: bool = True, fresh: bool = False, env: dict[str, str] | None = None) -> Server:
            number = next(count)
            listen = () if "-a" in options else ("-a", f"unix://{tmp_path}/agent{number}.sock")
            log = tmp_path / f"agent{number}.log"
            agent = spawn(log, "agent", *listen, *options, env=env) if fresh else spawn_forked(log, *listen, *options, env=env)
            stack.callback(agent.stop)
            return wait_ready(agent) if ready else agent

        yield start


@pytest.fixture(scope="session")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One agent for the whole run: every kind of address, the model that ships preloaded, uploads allowed."""
    folder = tmp_path_factory.mktemp("agent")
    listen = [f"unix://{folder}/a.sock", "tcp://127.0.0.1:0", "grpc://127.0.0.1:0", f"grpc+unix://{folder}/g.sock"]
    options = [part for address in listen for part in ("-a", address)]
    server = spawn(
        folder / "agent.log", "agent", *options, "--models", str(MODELS), "--preload", "tweets", "--uploads", "allow",
        "--metrics-address", "127.0.0.1:0",
    )  # fmt: skip
    try:
        yield wait_ready(server)
    finally:
        server.stop()


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    """A played cluster with nothing deployed."""
    from tests.fakecluster import fake_cluster

    with fake_cluster() as made:
        yield made


@pytest.fixture
def config(cluster: FakeCluster, tmp_path: Path) -> Path:
    """A kubeconfig that leads to it."""
    return cluster.kubeconfig(tmp_path / "config")
