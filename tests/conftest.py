"""Fixtures that tests of several packages use."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.support.functions import start, wait_until_ready
from tests.support.installing import build_wheel
from tests.support.paths import shipped_store
from tests.support.servers import ServerProcess, SpawnAgent, spawn, spawn_forked, wait_ready

if TYPE_CHECKING:
    from tests.support.fakecluster import FakeCluster


# Threads of torch wait for each other in a loop: where other tests use the second core, two take longer than one. Agents set theirs.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# An example that waits for a core is not slow.
settings.register_profile("busy", deadline=None)
settings.load_profile("busy")


def pytest_configure() -> None:
    """Processes under test get Ctrl-C's signal, even if whoever started pytest in the background had it ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # What is imported and collected stays until the end: to look through it for what nobody holds would only cost time.
    gc.disable()


def pytest_collection_finish() -> None:
    """See `pytest_configure`: what the tests themselves make is looked through."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that state a longer limit come first: begun last, one of them would go on when everything else is done."""

    def limit(item: pytest.Item) -> float:
        mark = item.get_closest_marker("timeout")
        return float(mark.args[0]) if mark else 0

    limits: dict[Path, float] = {}
    for item in items:
        limits[item.path] = max(limit(item), limits.get(item.path, 0))
    items.sort(key=lambda item: limits[item.path], reverse=True)


@pytest.fixture
def spawn_agent(tmp_path: Path) -> Iterator[SpawnAgent]:
    """``spawn_agent(*options)``: an agent of its own, ended with the test. Without ``-a`` it listens on a unix socket.

    ``ready``: waits until it is. ``fresh``: ``python -m agent``, where a test is about how a process starts or ends; else it is
    forked from one that has imported torch.
    """
    with contextlib.ExitStack() as stack:
        count = iter(range(100))

        def start(*options: str, ready: bool = True, fresh: bool = False, env: dict[str, str] | None = None) -> ServerProcess:
            number = next(count)
            listen = () if "-a" in options else ("-a", f"unix://{tmp_path}/agent{number}.sock")
            log = tmp_path / f"agent{number}.log"
            agent = spawn(log, "agent", *listen, *options, env=env) if fresh else spawn_forked(log, *listen, *options, env=env)
            stack.callback(agent.stop)
            return wait_ready(agent) if ready else agent

        yield start


@pytest.fixture(scope="session")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One agent for the whole run: every kind of address, the model that ships preloaded, uploads allowed."""
    folder = tmp_path_factory.mktemp("agent")
    listen = [f"unix://{folder}/a.sock", "tcp://127.0.0.1:0", "grpc://127.0.0.1:0", f"grpc+unix://{folder}/g.sock"]
    options = [part for address in listen for part in ("-a", address)]
    server = spawn(
        folder / "agent.log", "agent", *options, "--models", str(shipped_store()), "--preload", "tweets", "--uploads", "allow",
        "--metrics-address", "127.0.0.1:0",
    )  # fmt: skip
    try:
        yield wait_ready(server)
    finally:
        server.stop()


@pytest.fixture(scope="module")
def function(
    request: pytest.FixtureRequest, agent: ServerProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """A ready function for the tests of one module, with the module's ``FUNCTION_ENV``. It ends with 0 and without a traceback."""
    environment: dict[str, str] = getattr(request.module, "FUNCTION_ENV", {})
    server = start(tmp_path_factory.mktemp("function"), agent.addresses["unix"], **environment)
    try:
        wait_until_ready(server)
        yield server
    finally:
        code = server.stop()
    assert code == 0, server.text
    assert "Traceback" not in server.text


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built once from this checkout."""
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    """A played cluster with nothing deployed."""
    from tests.support.fakecluster import fake_cluster

    with fake_cluster() as cluster:
        yield cluster


@pytest.fixture
def config(cluster: FakeCluster, tmp_path: Path) -> Path:
    """A kubeconfig that leads to it."""
    return cluster.kubeconfig(tmp_path / "config")
