"""Changes of aliases that are refused, clients that are refused, and files that say nothing."""

from __future__ import annotations

import hashlib
import shutil
import time
import zipfile
from pathlib import Path

import pytest

from tests.support.aliasmodels import ENTRIES, label, metrics, run, sha, spawned, until, write_aliases, write_says, write_store
from tests.support.clients import client
from tests.support.servers import SpawnAgent
from vaccel_common.interface import interface_of
from vaccel_common.modelfile import from_entries
from vaccel_rpc.errors import FailedPrecondition
from vaccel_rpc.extensions import INTERFACE


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return write_store(tmp_path / "store")


@pytest.mark.parametrize(
    ("reason", "entries"),
    [
        ("tokenizer", {"tokenizer.json": ENTRIES["tokenizer.json"] + b"\n"}),
        ("labels", {"labels.json": b'["neither", "hate-speech", "offensive-language"]'}),
        ("signature", {"signature.json": ENTRIES["signature.json"].replace(b'"max_length": 128', b'"max_length": 64')}),
    ],
)
def test_a_model_that_clients_do_not_fit_is_refused(
    spawn_agent: SpawnAgent, store: Path, reason: str, entries: dict[str, bytes]
) -> None:
    """By name, in log and metric; the old one stays, and a model that fits is taken after it."""
    write_says(store / "other.pt", 2, entries={**ENTRIES, **entries})
    agent = spawned(spawn_agent, store)
    calls = client(agent)
    session = calls.create_session()
    resource = calls.register_path(session, "live")
    write_aliases(store / "aliases.json", live=sha(store, "other"))
    agent.wait_for(rf"ERROR agent.aliases\] Alias live stays a \(sha256:\w+\): sha256:\w+ differs in {reason} from")
    assert label(run(calls, session, resource)) == 0
    assert metrics(agent, "vaccel_alias_refused") == {f'{{alias="live",reason="{reason}"}}': 1}
    assert metrics(agent, "vaccel_alias_changes_total")['{alias="live",result="refused"}'] == 1
    for role in ("canary", "shadow"):
        write_aliases(store / "aliases.json", live={"model": sha(store, "b"), role: {"model": sha(store, "other"), "percent": 1}})
        until(lambda: agent.text.count("differs in") == (2 if role == "canary" else 3), agent)  # noqa: B023 called at once
    write_aliases(store / "aliases.json", live=sha(store, "b"))
    agent.wait_for("Alias live is b")
    assert label(run(calls, session, resource)) == 1
    assert metrics(agent, "vaccel_alias_refused") == {}
    calls.close()


def test_a_model_that_is_not_there_is_waited_for(spawn_agent: SpawnAgent, store: Path) -> None:
    """A digest that no file has, and a file that cannot be loaded, are refused, and said once; the file may come later."""
    agent = spawned(spawn_agent, store)
    calls = client(agent)
    session = calls.create_session()
    resource = calls.register_path(session, "live")
    later = store.parent / "later"
    later.mkdir()
    write_says(later / "c.pt", 2)
    write_aliases(store / "aliases.json", live=sha(later, "c"))
    agent.wait_for(r"Alias live stays a \(sha256:\w+\): no model with sha256:\w+ in the store")
    assert metrics(agent, "vaccel_alias_refused") == {'{alias="live",reason="missing"}': 1}
    with zipfile.ZipFile(store / "b.pt") as whole, zipfile.ZipFile(store / "damaged.pt", "w") as damaged:
        for name in whole.namelist():
            damaged.writestr(name, b"" if name.endswith("/data.pkl") else whole.read(name))
    (store / "damaged.pt.sha256").write_text(hashlib.sha256((store / "damaged.pt").read_bytes()).hexdigest())
    write_aliases(store / "aliases.json", live=sha(store, "damaged"))
    agent.wait_for(r"Alias live stays a \(sha256:\w+\): damaged \(sha256:\w+\) cannot be loaded")
    assert metrics(agent, "vaccel_alias_refused") == {'{alias="live",reason="load"}': 1}
    write_aliases(store / "aliases.json", live=sha(later, "c"))
    until(lambda: agent.text.count("no model with sha256") == 2, agent)
    for name in ("c.pt.sha256", "c.pt"):
        shutil.copy(later / name, store / name)
    agent.wait_for("Alias live is c")
    assert label(run(calls, session, resource)) == 2
    assert agent.text.count("no model with sha256") == 2
    calls.close()


def test_a_broken_file_changes_nothing(spawn_agent: SpawnAgent, store: Path) -> None:
    """It is said once, whether it is broken or gone, and in a metric until it is mended."""
    agent = spawned(spawn_agent, store)
    calls = client(agent)
    session = calls.create_session()
    resource = calls.register_path(session, "live")
    for content, message in (("{", "is not valid JSON"), (None, "it is gone")):
        if content is None:
            (store / "aliases.json").unlink()
        else:
            (store / "aliases.json").write_text(content)
        agent.wait_for(f"The aliases stay as they are: {store}/aliases.json: .*{message}")
        time.sleep(2.5)
        assert agent.text.count(message) == 1
        assert metrics(agent, "vaccel_alias_refused") == {'{alias="",reason="file"}': 1}
        assert label(run(calls, session, resource)) == 0
        assert calls.register_path(session, "live")
    write_aliases(store / "aliases.json", live=sha(store, "b"))
    agent.wait_for("Alias live is b")
    assert metrics(agent, "vaccel_alias_refused") == {}
    calls.close()


def test_a_client_of_another_model_is_refused(spawn_agent: SpawnAgent, store: Path) -> None:
    """One that says what it has of the model, by the name of an alias or of a file; parts that a file lacks are not compared."""
    agent = spawned(spawn_agent, store)
    calls = client(agent)
    session = calls.create_session()
    own = str(interface_of(from_entries(ENTRIES)))
    other = str(interface_of(from_entries({**ENTRIES, "labels.json": b'["x", "y", "z"]'})))
    for path in ("live", "a", "a.pt", sha(store, "a")):
        assert calls.register_paths(session, [path], metadata={INTERFACE: own})
        with pytest.raises(FailedPrecondition, match=r"this client differs from (live|a) in labels: it needs the tokenizer file"):
            calls.register_paths(session, [path], metadata={INTERFACE: other})
    assert calls.register_paths(session, ["live"], metadata={INTERFACE: own.partition(" ")[0]})
    calls.close()
