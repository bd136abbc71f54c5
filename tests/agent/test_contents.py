"""A content's name is its content: what runs under a sha256 was hashed as it was loaded."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.engines.contract import Program
from agent.store.folder import StoreFolder
from agent.store.model import StoredModel
from agent.store.models import Store
from agent.store.room import Room
from tests.support import toyplugin
from tests.support.clients import client
from tests.support.servers import SpawnAgent
from tests.support.torchmodels import First, Twice, saved
from vaccel_rpc.client import VaccelClient
from vaccel_rpc.errors import FailedPrecondition, PermissionDenied
from vaccel_rpc.tensors import from_values, to_values


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def answer(calls: VaccelClient, session: int, model: int) -> list[float]:
    """Of the row (1, 3): `Twice` gives (2, 6), `First` its mean, 2."""
    return list(to_values(calls.run(session, model, [from_values("int64", [1, 2], [1, 3])], 1)[0]))


@pytest.mark.parametrize("beside", [True, False])
def test_a_file_replaced_before_it_is_loaded_does_not_run(spawn_agent: SpawnAgent, tmp_path: Path, beside: bool) -> None:
    """Neither for the client that named it nor under its digest; registered again, the new content runs, and the old one's name
    is unknown, also to a client that sends the old bytes.
    """
    store = tmp_path / "store"
    store.mkdir()
    old, new = saved(Twice(), store / "model.pt"), saved(First(), tmp_path / "new.pt")

    def name(data: bytes) -> None:
        if beside:
            (store / "model.pt.sha256").write_text(f"{digest_of(data)}  model.pt\n")

    name(old)
    calls = client(spawn_agent("--models", str(store), "--uploads", "known"))
    session = calls.create_session()
    by_name, by_digest = calls.register_path(session, "model"), calls.register_path(session, f"sha256:{digest_of(old)}")
    by_bytes = calls.register_bytes(session, old)
    (tmp_path / "new.pt").rename(store / "model.pt")
    name(new)
    for model in (by_name, by_digest, by_bytes):
        with pytest.raises(
            FailedPrecondition, match=r"model\.pt has changed since it was registered as sha256:.*register it again"
        ):
            answer(calls, session, model)
    assert answer(calls, session, calls.register_path(session, "model")) == [2]
    assert answer(calls, session, calls.register_bytes(session, new)) == [2]
    with pytest.raises(PermissionDenied, match="not a model of the store"):
        calls.register_bytes(session, old)
    (store / "old.pt").write_bytes(old)
    assert answer(calls, session, calls.register_path(session, "old")) == [2, 6]
    assert answer(calls, session, by_name) == [2, 6], "its content is in the store again"


def test_a_digest_beside_that_is_wrong_takes_no_clients_bytes(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """The bytes that a client sends run, not a file that claims their digest; by name that file is refused."""
    store = tmp_path / "store"
    store.mkdir()
    sent = saved(Twice(), tmp_path / "sent.pt")
    saved(First(), store / "other.pt")
    (store / "other.pt.sha256").write_text(f"{digest_of(sent)}  other.pt\n")
    calls = client(spawn_agent("--models", str(store), "--uploads", "allow"))
    session = calls.create_session()
    named = calls.register_path(session, "other")
    with pytest.raises(FailedPrecondition, match=r"does not match other\.pt\.sha256"):
        calls.load(session, named)
    assert answer(calls, session, calls.register_bytes(session, sent)) == [2, 6]


class ToyStore:
    """A store of toys whose engine calls ``meanwhile`` before it reads a file."""

    def __init__(self, folder: Path, meanwhile: Callable[[], object]) -> None:
        engine = toyplugin.open("cpu", 1)

        def load(path: Path) -> Program:
            meanwhile()
            return engine.load(path)

        self._store = Store(StoreFolder(folder, lambda: (".toy",)), "deny", load, lambda *_: None, room=Room(models=4))

    def product(self, name: str) -> int:
        """1 times the number in the file of that name."""
        return asyncio.run(self._product(name))

    async def _product(self, name: str) -> int:
        model: StoredModel = await self._store.by_paths([name])
        form = await self._store.form(model)
        return int(to_values(form.program.run([[from_values("int64", [1], [1])]], alone=False).outputs[0][0])[0])

    def close(self) -> None:
        self._store.close()


def test_a_file_replaced_while_it_is_loaded_runs_as_it_was(tmp_path: Path) -> None:
    """The engine reads the file that was hashed, whatever its name means by now."""
    (tmp_path / "number.toy").write_text("3")

    def replace() -> None:
        (tmp_path / "new").write_text("5")
        (tmp_path / "new").rename(tmp_path / "number.toy")

    store = ToyStore(tmp_path, replace)
    try:
        assert store.product("number") == 3
        assert store.product("number") == 5
    finally:
        store.close()


@pytest.mark.parametrize("same_size", [True, False])
def test_a_file_written_while_it_is_loaded_is_refused(tmp_path: Path, same_size: bool) -> None:
    """In place: within the same moment and with the same size, too."""
    path = tmp_path / "number.toy"
    path.write_text("3")
    store = ToyStore(tmp_path, lambda: path.write_text("5" if same_size else "55"))
    try:
        with pytest.raises(FailedPrecondition, match=r"number\.toy was written while it was loaded"):
            store.product("number")
        assert store.product("number") in (5, 55)
    finally:
        store.close()
