"""The operator's address: which models there are, and changes of them."""

from __future__ import annotations

import contextlib
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import requests
from tritonclient.http import InferenceServerClient
from tritonclient.utils import InferenceServerException

from tests.support.aliasmodels import write_aliases
from tests.support.clients import client
from tests.support.ports import free_ports
from tests.support.servers import ServerProcess, SpawnAgent
from vaccel_rpc.tensors import from_values, to_values


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Two models; the second cannot be loaded."""
    folder = tmp_path / "store"
    folder.mkdir()
    (folder / "triple.toy").write_text("3")
    (folder / "broken.toy").write_text("no number")
    return folder


def _spawn(spawn_agent: SpawnAgent, store: Path, *options: str) -> tuple[ServerProcess, str]:
    """An agent, and the host and port of its admin address."""
    agent = spawn_agent("--plugin", "tests.support.toyplugin", "--models", str(store), "--admin-address", "127.0.0.1:0", *options)
    return agent, agent.wait_for(r"Models are listed on 'http://([^/]+)/")[1]


def _states(triton: InferenceServerClient) -> dict[str, Any]:
    return {entry["name"]: entry["state"] for entry in triton.get_model_repository_index()}


def test_the_index_lists_the_store_and_what_runs(spawn_agent: SpawnAgent, store: Path) -> None:
    """With Triton's own client; what is in memory has its digest, memory and clients."""
    agent, address = _spawn(spawn_agent, store)
    triton = InferenceServerClient(address)
    assert _states(triton) == {"triple": "UNAVAILABLE", "broken": "UNAVAILABLE"}
    calls = client(agent)
    session = calls.create_session()
    resource = calls.register_path(session, "triple")
    assert to_values(calls.run(session, resource, [from_values("int64", [1], [2])], 1)[0]) == [6]
    (entry,) = requests.post(f"http://{address}/v2/repository/index", json={"ready": True}, timeout=5).json()
    assert (entry["name"], entry["file"], entry["state"], entry["registered"], entry["preloaded"]) == (
        "triple", "triple.toy", "READY", 1, False,
    )  # fmt: skip
    assert len(entry["sha256"]) == 64
    assert requests.get(f"http://{address}/v2/repository/index", timeout=5).json()[1] == {
        **entry,
        "idle_seconds": pytest.approx(0, abs=30),
    }


def test_the_first_index_is_whole(spawn_agent: SpawnAgent, store: Path) -> None:
    """The address does not answer before the agent knows which files are models, for which it imports torch."""
    options = ("--plugin", "tests.support.toyplugin", "--models", str(store))
    (port,) = free_ports(1)
    agent = spawn_agent(*options, "--admin-address", f"127.0.0.1:{port}", ready=False, fresh=True)
    while agent.process.poll() is None:
        with contextlib.suppress(requests.ConnectionError):
            index = requests.get(f"http://127.0.0.1:{port}/v2/repository/index", timeout=20).json()
            break
        time.sleep(0.02)
    assert [entry["name"] for entry in index] == ["broken", "triple"]


def test_the_address_is_read_only_unless_told(spawn_agent: SpawnAgent, store: Path) -> None:
    """403, and nothing has changed."""
    _, address = _spawn(spawn_agent, store, "--preload", "triple")
    triton = InferenceServerClient(address)
    for change in (triton.load_model, triton.unload_model):
        with pytest.raises(InferenceServerException, match="read only; start the agent with --admin-writable"):
            change("triple")
    assert _states(triton)["triple"] == "READY"


def test_models_are_loaded_and_unloaded(spawn_agent: SpawnAgent, store: Path) -> None:
    """A client whose model was unloaded has it loaded again by its next run."""
    agent, address = _spawn(spawn_agent, store, "--admin-writable")
    triton = InferenceServerClient(address)
    calls = client(agent)
    session = calls.create_session()
    resource = calls.register_path(session, "triple")
    for _ in range(3):
        triton.load_model("triple")
        assert _states(triton)["triple"] == "READY"
        triton.unload_model("triple")
        assert _states(triton)["triple"] == "UNAVAILABLE"
        assert to_values(calls.run(session, resource, [from_values("int64", [1], [2])], 1)[0]) == [6]
    triton.unload_model("triple.toy")
    triton.unload_model("triple")
    assert _states(triton)["triple"] == "UNAVAILABLE"


def test_the_index_lists_aliases(spawn_agent: SpawnAgent, store: Path) -> None:
    """With the models that they stand for; why one cannot be used or changed is its reason. Loading one loads its models."""
    (store / "twice.toy").write_text("2")
    triple, twice = (sha256((store / f"{name}.toy").read_bytes()).hexdigest() for name in ("triple", "twice"))
    live: dict[str, Any] = {"model": f"sha256:{triple}", "canary": {"model": f"sha256:{twice}", "percent": 10}}
    write_aliases(store / "aliases.json", live=live, wrong=f"sha256:{'0' * 64}")
    agent, address = _spawn(spawn_agent, store, "--admin-writable")
    triton = InferenceServerClient(address)
    index = {entry["name"]: entry for entry in triton.get_model_repository_index()}
    assert index["live"] == {
        "name": "live",
        "version": "1",
        "state": "UNAVAILABLE",
        "reason": f"not loaded: triple (sha256:{triple[:12]})",
        "file": "",
        "alias": [
            {"role": "stable", "sha256": triple, "percent": 90},
            {"role": "canary", "sha256": twice, "percent": 10},
        ],
    }
    assert (index["wrong"]["state"], index["wrong"]["reason"]) == ("UNAVAILABLE", f"no model with sha256:{'0' * 64} in the store")
    triton.load_model("live")
    assert {name: state for name, state in _states(triton).items() if state == "READY"}.keys() == {"live", "triple", "twice"}
    with pytest.raises(InferenceServerException, match="live is an alias; unload its model by the model's own name"):
        triton.unload_model("live")
    write_aliases(store / "aliases.json", live=f"sha256:{'0' * 64}")
    agent.wait_for("Alias live stays")
    (entry,) = (entry for entry in triton.get_model_repository_index() if entry["name"] == "live")
    assert entry["state"] == "READY"
    assert entry["reason"] == f"the last change was refused: no model with sha256:{'0' * 64} in the store"


def test_what_cannot_be_done_is_an_error(spawn_agent: SpawnAgent, store: Path) -> None:
    """A status that says whose mistake it is, and its reason."""
    _, address = _spawn(spawn_agent, store, "--admin-writable")
    models = f"http://{address}/v2/repository/models"
    for method, url, body, status, reason in (
        ("POST", f"{models}/absent/load", "", 404, "absent"),
        ("POST", f"{models}/..%2f..%2fetc%2fpasswd/load", "", 403, "store"),
        ("POST", f"{models}/broken/load", "", 400, "no number"),
        ("POST", f"{models}/triple/load", "[1]", 400, "JSON object"),
        ("POST", f"{models}/triple/load", "[" * 60_000, 400, "JSON object"),
        ("POST", f"{models}/triple/load", '{"parameters": {"config": "{}"}}', 400, "cannot bring a config"),
        ("POST", f"{models}/triple/load", '{"parameters": [1]}', 400, "cannot bring a config"),
        ("POST", f"{models}/triple/load", '{"parameters": 5}', 400, "cannot bring a config"),
        ("POST", f"{models}/triple/load", "x" * 100_000, 413, ""),
        ("GET", f"{models}/triple/load", "", 405, "POST"),
        ("DELETE", f"http://{address}/v2/repository/index", "", 405, "GET and POST"),
        ("POST", f"http://{address}/v2/repository/index", '{"ready": 1}', 400, "ready"),
        ("GET", f"http://{address}/metrics", "", 404, "/v2/repository/index"),
    ):
        answer = requests.request(method, url, data=body, timeout=10)
        assert (answer.status_code, reason in answer.text) == (status, True), (method, url, answer.text)
    answer = requests.post(f"{models}/triple/load", headers={"Origin": "http://evil.example"}, timeout=10)
    assert (answer.status_code, "web pages" in answer.json()["error"]) == (403, True)
    assert requests.post(f"http://{address}/v2/repository/index", json={"ready": True}, timeout=5).json() == []
