"""The memory that models take: measured, bounded, and given back."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.clients import client
from tests.support.servers import ServerProcess, SpawnAgent
from vaccel_rpc.client import VaccelClient
from vaccel_rpc.errors import ResourceExhausted
from vaccel_rpc.tensors import from_values, to_values


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Five models of 64 MiB each, by the names of letters, and one of 300."""
    folder = tmp_path / "store"
    folder.mkdir()
    for name in "abcde":
        # The files differ: the same content would be one model.
        (folder / f"{name}.heavy").write_text("64" + " " * ord(name))
    (folder / "huge.heavy").write_text("300")
    return folder


def _spawn(spawn_agent: SpawnAgent, store: Path, *options: str) -> ServerProcess:
    addresses = ("--metrics-address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0")
    return spawn_agent("--plugin", "tests.support.heavyplugin", "--models", str(store), *addresses, *options)


def _index(agent: ServerProcess) -> dict[str, dict[str, Any]]:
    """What the agent says of each model that is in memory."""
    url = agent.wait_for(r"Models are listed on '(http://[^']+)'")[1]
    entries = requests.post(url, json={"ready": True}, timeout=5).json()
    return {entry["name"]: entry for entry in entries}


def _metric(agent: ServerProcess, name: str) -> float:
    url = agent.wait_for(r"Metrics and health on '(http://[^']+)'")[1]
    found = re.search(rf"^{re.escape(name)} (\S+)$", requests.get(url + "/metrics", timeout=5).text, re.MULTILINE)
    assert found, name
    return float(found[1])


def _doubled(calls: VaccelClient, session: int, resource: int) -> None:
    assert to_values(calls.run(session, resource, [from_values("int64", [1], [21])], 1, 30)[0]) == [42]


def _use(agent: ServerProcess, name: str) -> None:
    """A client that runs the model and leaves."""
    calls = client(agent)
    session = calls.create_session()
    _doubled(calls, session, calls.register_path(session, name))
    calls.destroy_session(session)
    calls.close()


def test_models_take_no_more_memory_than_they_may(spawn_agent: SpawnAgent, store: Path) -> None:
    """The one unused for longest leaves, and the system gets its memory back."""
    agent = _spawn(spawn_agent, store, "--max-model-memory", "200")
    for name in "abc":
        _use(agent, name)
    with_three = agent.memory_mib
    for name in "ade":
        _use(agent, name)
        agent.wait_for(f"Loaded model {name} ")
    agent.wait_for("Unloaded model c ")
    models = _index(agent)
    assert sorted(models) == ["a", "d", "e"]
    assert all(64 << 20 <= model["memory_bytes"] < 72 << 20 for model in models.values())
    assert _metric(agent, "vaccel_models_memory_bytes") == sum(model["memory_bytes"] for model in models.values())
    assert _metric(agent, 'vaccel_model_unloads_total{model="b"}') == 1
    assert agent.memory_mib < with_three + 32


def test_a_registered_model_leaves_when_it_is_idle_and_comes_back(spawn_agent: SpawnAgent, store: Path) -> None:
    """Its client notices nothing but the time; until it is idle for long enough, another model is refused."""
    agent = _spawn(spawn_agent, store, "--max-models", "1", "--idle-model-s", "1")
    one, other = client(agent), client(agent)
    sessions = one.create_session(), other.create_session()
    a, b = one.register_path(sessions[0], "a"), other.register_path(sessions[1], "b")
    _doubled(one, sessions[0], a)
    with pytest.raises(ResourceExhausted, match="--max-models") as refused:
        _doubled(other, sessions[1], b)
    assert refused.value.retry_after == 1
    agent.wait_for("Loaded model a ")
    _eventually(lambda: _doubled(other, sessions[1], b))
    agent.wait_for("Unloaded model a ")
    _eventually(lambda: _doubled(one, sessions[0], a))
    assert _metric(agent, 'vaccel_model_loads_total{model="a"}') == 2


def test_many_clients_load_a_model_once(spawn_agent: SpawnAgent, store: Path) -> None:
    """Before its first run, and after it has left memory."""
    agent = _spawn(spawn_agent, store, "--max-models", "1", "--idle-model-s", "0.5")
    clients = [client(agent) for _ in range(8)]
    sessions = [calls.create_session() for calls in clients]
    resources = [calls.register_path(session, "a") for calls, session in zip(clients, sessions, strict=True)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(_doubled, clients, sessions, resources))
        _eventually(lambda: _use(agent, "b"))
        agent.wait_for("Unloaded model a ")
        _eventually(lambda: _use(agent, "a"))
        list(threads.map(_doubled, clients, sessions, resources))
    assert _metric(agent, 'vaccel_model_loads_total{model="a"}') == 2


def test_a_model_that_turns_out_larger_than_the_budget_runs_and_is_told(spawn_agent: SpawnAgent, store: Path) -> None:
    """Its file is small; the others leave for it, and the log says that they were not enough."""
    agent = _spawn(spawn_agent, store, "--max-model-memory", "200")
    _use(agent, "a")
    _use(agent, "huge")
    agent.wait_for("With model huge .* take more than --max-model-memory")
    assert list(_index(agent)) == ["huge"]


def test_a_preloaded_model_never_leaves(spawn_agent: SpawnAgent, store: Path) -> None:
    """Not even where that refuses another one for good."""
    agent = _spawn(spawn_agent, store, "--max-models", "1", "--idle-model-s", "0", "--preload", "a")
    with pytest.raises(ResourceExhausted):
        _use(agent, "b")
    assert _index(agent)["a"]["preloaded"] is True


def _eventually(attempt: Callable[[], None], seconds: float = 20) -> None:
    """Repeats what may be refused for now."""
    end = time.monotonic() + seconds
    while True:
        try:
            return attempt()
        except ResourceExhausted:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
