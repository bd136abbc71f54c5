"""The seam for a second engine: real agents that load one beside torch."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.engines.registry import Engines
from tests.support import toyplugin
from tests.support.clients import client
from tests.support.servers import SpawnAgent
from tests.support.torchmodels import Copies, save
from vaccel_rpc.errors import Internal, InvalidArgument
from vaccel_rpc.tensors import from_values, to_values


def test_a_second_engine_loads_files_of_its_own_suffix(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """Preloaded with torch's, checked by its signature, its requests run together; what it refuses is the client's error."""
    store = tmp_path / "store"
    store.mkdir()
    (store / "triple.toy").write_text("3")
    (store / "broken.toy").write_text("x")
    save(Copies(), store / "echo.pt")
    agent = spawn_agent(
        "--plugin", "tests.support.toyplugin", "--models", str(store), "--preload", "triple", "--preload", "echo.pt"
    )
    calls = client(agent)
    session = calls.create_session()
    triple, echo = calls.register_path(session, "triple.toy"), calls.register_path(session, "echo")
    runs = [calls.start_run(session, triple, [from_values("int64", [2], [n, -n])], 1) for n in range(50)]
    assert [to_values(run.result().outputs[0]) for run in runs] == [[3 * n, -3 * n] for n in range(50)]
    assert to_values(calls.run(session, echo, [from_values("int64", [1], [5])], 1)[0]) == [5]
    with pytest.raises(InvalidArgument, match="input 'x'"):
        calls.run(session, triple, [from_values("int32", [1], [1])], 1)
    with pytest.raises(InvalidArgument, match="no number"):
        calls.load(session, calls.register_path(session, "broken"))


@pytest.mark.parametrize(
    ("module", "says"),
    [
        ("tests.nothing", "No module named 'tests.nothing'"),
        ("agent.engines.torch", "another plugin loads .pt, .pt2"),
        ("json", "it has no SUFFIXES and no open"),
    ],
)
def test_a_plugin_that_cannot_be_used_ends_the_agent(spawn_agent: SpawnAgent, module: str, says: str) -> None:
    """The agent logs one line that names the plugin and exits with 1."""
    agent = spawn_agent("--plugin", module, ready=False)
    assert agent.process.wait(60) == 1
    assert f"the plugin {module} " in agent.text
    assert says in agent.text
    assert "Traceback" not in agent.text


def test_an_engine_that_gives_no_program_is_the_agents_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what a program has."""
    engines = Engines(["tests.support.toyplugin"])
    engines.open("cpu", 1)
    (tmp_path / "three.toy").write_text("3")
    assert engines.load(tmp_path / "three.toy").joinable
    monkeypatch.delattr(toyplugin.Multiplies, "cost")
    with pytest.raises(Internal, match=r"Multiplies.* signature, joinable, cost and run"):
        engines.load(tmp_path / "three.toy")
