"""Aliases of a running agent: what flips and what does not, shares of requests, and what memory it takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.aliasmodels import ENTRIES, label, metrics, run, sha, spawned, until, write_aliases, write_says, write_store
from tests.support.clients import client
from tests.support.servers import SpawnAgent
from vaccel_rpc.dialects import Version
from vaccel_rpc.errors import FailedPrecondition, NotFound, RpcError
from vaccel_rpc.extensions import MODEL, REQUEST

SCHEMES = ("unix", "tcp", "grpc", "grpc+unix")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return write_store(tmp_path / "store")


def test_an_alias_flips_for_those_who_registered_it(spawn_agent: SpawnAgent, store: Path, tmp_path: Path) -> None:
    """Over every transport and in both dialects; a digest, a file's name and a name that is no alias stay what they are. The
    client is told which model ran, unless it named the digest.
    """
    listen = [f"unix://{tmp_path}/u.sock", "tcp://127.0.0.1:0", "grpc://127.0.0.1:0", f"grpc+unix://{tmp_path}/g.sock"]
    agent = spawned(spawn_agent, store, *(part for address in listen for part in ("-a", address)))
    versions: tuple[Version, ...] = ("0.7", "0.8")
    clients = [client(agent, scheme, version) for scheme in SCHEMES for version in versions]
    opened = [(calls, calls.create_session()) for calls in clients]
    paths = ("live", sha(store, "a"), "a.pt", "a")
    resources = [[calls.register_path(session, path) for path in paths] for calls, session in opened]
    a, b = (sha(store, name).removeprefix("sha256:") for name in "ab")

    def results() -> list[list[tuple[int, str | None]]]:
        ran = [[run(calls, session, resource) for resource in of] for (calls, session), of in zip(opened, resources, strict=True)]
        return [[(label(result), result.model) for result in row] for row in ran]

    before, after = [(0, a), (0, None), (0, a), (0, a)], [(1, b), (0, None), (0, a), (0, a)]
    assert results() == [before] * len(clients)
    write_aliases(store / "aliases.json", live=sha(store, "b"))
    agent.wait_for(r"Alias live is b \(sha256:")
    assert results() == [after] * len(clients)
    assert agent.text.index("Loaded model b") < agent.text.index("Alias live is b")
    for calls in clients:
        calls.close()


def test_an_alias_goes_before_a_file_of_its_name(spawn_agent: SpawnAgent, store: Path) -> None:
    """``a`` is the alias, ``a.pt`` the file; without the alias both are. A client that holds it keeps the model that it stood for."""
    write_aliases(store / "aliases.json", a=sha(store, "b"))
    agent = spawned(spawn_agent, store)
    calls = client(agent)
    session = calls.create_session()
    alias, file = (calls.register_path(session, path) for path in ("a", "a.pt"))
    assert [label(run(calls, session, resource)) for resource in (alias, file)] == [1, 0]
    write_aliases(store / "aliases.json")
    until(lambda: label(run(calls, session, calls.register_path(session, "a"))) == 0, agent)
    assert label(run(calls, session, alias)) == 1
    calls.close()
    agent.wait_for("Alias a has ended")


def test_the_file_may_be_elsewhere_and_come_later(spawn_agent: SpawnAgent, store: Path, tmp_path: Path) -> None:
    """Such as in a ConfigMap's volume, whose links are swapped, beside a store that is read only. An alias that cannot be used says
    why to those who want to register it; one that is preloaded must be there.
    """
    mount = tmp_path / "mount"
    for number, name in enumerate("ab"):
        (mount / f"..{number}").mkdir(parents=True)
        write_aliases(mount / f"..{number}" / "names.json", other=sha(store, name), wrong=f"sha256:{'0' * 64}")
    (store / "aliases.json").unlink()
    agent = spawned(spawn_agent, store, "--aliases", str(mount / "names.json"))
    calls = client(agent)
    session = calls.create_session()
    with pytest.raises(NotFound, match="no model 'other' in the store"):
        calls.register_path(session, "other")
    (mount / "..data").symlink_to("..0")
    (mount / "names.json").symlink_to("..data/names.json")
    agent.wait_for("Alias other is a")
    agent.wait_for("Alias wrong cannot be used")
    resource = calls.register_path(session, "other")
    with pytest.raises(NotFound, match="the alias wrong cannot be used: no model with sha256:0000"):
        calls.register_path(session, "wrong")
    (mount / "..data_tmp").symlink_to("..1")
    (mount / "..data_tmp").rename(mount / "..data")
    agent.wait_for("Alias other is b")
    assert label(run(calls, session, resource)) == 1
    calls.close()
    early = spawn_agent("--models", str(store), "--aliases", str(mount / "names.json"), "--preload", "wrong", ready=False)
    assert early.process.wait(60) == 1
    assert "--preload: the alias wrong cannot be used: no model with sha256:0000" in early.text


def test_the_old_model_leaves_when_it_is_idle(spawn_agent: SpawnAgent, store: Path) -> None:
    """Its memory returns; a preloaded alias has its models in memory before it changes, though nobody has registered it."""
    for number, name in enumerate(("large0", "large1")):
        write_says(store / f"{name}.pt", number, mib=200)
    write_aliases(store / "aliases.json", live=sha(store, "large0"))
    agent = spawned(spawn_agent, store, "--preload", "live")

    def resident() -> int:
        return int(Path(f"/proc/{agent.process.pid}/statm").read_text().split()[1]) // 256

    assert metrics(agent, "vaccel_models_loaded") == {"": 1}
    small = resident()
    for changes, name in enumerate(("large1", "large0", "large1"), 2):
        write_aliases(store / "aliases.json", live=sha(store, name))
        until(lambda: agent.text.count("Alias live is") == changes, agent)  # noqa: B023 called at once
        until(lambda: metrics(agent, "vaccel_models_loaded") == {"": 1}, agent)
        until(lambda: resident() < small + 100, agent)
    calls = client(agent)
    session = calls.create_session()
    assert label(run(calls, session, calls.register_path(session, "live"))) == 1
    calls.close()


def test_a_request_names_itself_or_its_model(spawn_agent: SpawnAgent, store: Path) -> None:
    """All runs of one request get the same model of a canary; a run may ask for the model that another had, also for one that the
    alias has left or that is not its own yet, but for none of another interface.
    """
    write_says(store / "other.pt", 2, entries={**ENTRIES, "labels.json": b'["x", "y", "z"]'})
    write_aliases(store / "aliases.json", live={"model": sha(store, "a"), "canary": {"model": sha(store, "b"), "percent": 50}})
    agent = spawned(spawn_agent, store)
    calls = client(agent)
    session = calls.create_session()
    resource = calls.register_path(session, "live")
    calls.load(session, resource)
    assert metrics(agent, "vaccel_models_loaded") == {"": 2}
    for i in range(50):
        assert len({label(run(calls, session, resource, **{REQUEST: f"request {i}"})) for _ in range(3)}) == 1
    assert {label(run(calls, session, resource, **{REQUEST: f"{i}"})) for i in range(50)} == {0, 1}
    write_aliases(store / "aliases.json", live=sha(store, "a"))
    agent.wait_for(r"Alias live is a \(sha256:\w+\)\n")
    for name, number in (("a", 0), ("b", 1)):
        assert label(run(calls, session, resource, **{MODEL: sha(store, name).removeprefix("sha256:")})) == number
    agent.wait_for("Unloaded model b")
    assert label(run(calls, session, resource, **{MODEL: sha(store, "b").removeprefix("sha256:")})) == 1
    with pytest.raises(FailedPrecondition, match="is not a model of the alias live"):
        run(calls, session, resource, **{MODEL: sha(store, "other").removeprefix("sha256:")})
    for unknown in ("0" * 64, "nonsense", "../a"):
        with pytest.raises(RpcError, match="no model with sha256:"):
            run(calls, session, resource, **{MODEL: unknown})
    calls.close()


def test_a_canary_is_counted_by_its_digest(spawn_agent: SpawnAgent, store: Path) -> None:
    """Runs and their times, so that the two can be compared."""
    write_aliases(store / "aliases.json", live={"model": sha(store, "a"), "canary": {"model": sha(store, "b"), "percent": 25}})
    agent = spawned(spawn_agent, store)
    calls = client(agent)
    session = calls.create_session()
    resource = calls.register_path(session, "live")
    labels = [label(run(calls, session, resource, **{REQUEST: f"{i}"})) for i in range(200)]
    a, b = (sha(store, name).removeprefix("sha256:") for name in "ab")
    counted = metrics(agent, "vaccel_alias_runs_total")
    for number, digest in enumerate((a, b)):
        assert counted[f'{{alias="live",result="ok",sha256="{digest}"}}'] == labels.count(number)
        assert metrics(agent, "vaccel_alias_run_duration_seconds_count")[f'{{alias="live",sha256="{digest}"}}'] == labels.count(
            number
        )
    assert 20 <= labels.count(1) <= 80
    shares = metrics(agent, "vaccel_alias_share")
    assert shares == {
        f'{{alias="live",role="stable",sha256="{a}"}}': 0.75,
        f'{{alias="live",role="canary",sha256="{b}"}}': 0.25,
    }
    calls.close()
