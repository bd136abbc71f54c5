"""A content's name is its content: what runs under a sha256 was hashed as it was loaded."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.config import Uploads
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
    with pytest.raises(FailedPrecondition, match=r"does not match other\.pt\.sha256"):
        calls.register_path(session, "other")
    assert answer(calls, session, calls.register_bytes(session, sent)) == [2, 6]


class ToyStore:
    """A store of toys whose engine calls ``meanwhile`` before it reads a file."""

    def __init__(self, folder: Path, meanwhile: Callable[[], object], policy: Uploads = "deny") -> None:
        engine = toyplugin.open("cpu", 1)

        def load(path: Path) -> Program:
            meanwhile()
            return engine.load(path)

        self.store = Store(
            StoreFolder(folder, lambda: (".toy",)), policy, load, lambda *_: None, room=Room(models=4, uploads=1000)
        )

    def product(self, name: str) -> int:
        """1 times the number in the file of that name."""
        return asyncio.run(self._product(name))

    async def _product(self, name: str) -> int:
        return await self.product_of(await self.store.by_paths([name]))

    async def product_of(self, model: StoredModel) -> int:
        """The same of a model that was registered."""
        form = await self.store.form(model)
        return int(to_values(form.program.run([[from_values("int64", [1], [1])]], alone=False).outputs[0][0])[0])

    def close(self) -> None:
        """Ends its threads, which takes no longer than they need to look up."""
        began = time.monotonic()
        self.store.close()
        assert time.monotonic() - began < 5


@pytest.fixture
def claimed(tmp_path: Path) -> str:
    """The digest of good.toy, which is 3, and which another.toy claims by a copied file beside it."""
    (tmp_path / "good.toy").write_text("3")
    (tmp_path / "another.toy").write_text("5")
    for name in ("good", "another"):
        (tmp_path / f"{name}.toy.sha256").write_text(f"{digest_of(b'3')}  good.toy\n")
    return digest_of(b"3")


@pytest.mark.parametrize("beside", [True, False])
def test_what_a_file_claims_takes_no_digest_from_another(
    tmp_path: Path, claimed: str, beside: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """By its digest the file with that content serves, also one that claims nothing; the log names the wrong one once."""
    if not beside:
        (tmp_path / "good.toy.sha256").unlink()
    store = ToyStore(tmp_path, lambda: None)
    try:
        assert [store.product(f"sha256:{claimed}") for _ in range(2)] == [3, 3]
        assert caplog.text.count("another.toy is left out: another.toy does not match another.toy.sha256") == 1
    finally:
        store.close()


@pytest.mark.usefixtures("claimed")
def test_a_file_with_a_wrong_digest_beside_it_harms_no_other_client(tmp_path: Path) -> None:
    """Whoever names it is refused, before and after others have registered and loaded the good one."""
    toys = ToyStore(tmp_path, lambda: None)

    async def main() -> None:
        async def refused() -> None:
            with pytest.raises(FailedPrecondition, match=r"another\.toy does not match another\.toy\.sha256"):
                await toys.store.by_paths(["another"])

        await refused()
        good = await toys.store.by_paths(["good"])
        await refused()
        assert await toys.product_of(good) == 3
        await refused()
        with pytest.raises(FailedPrecondition, match=r"another\.toy does not match"):
            await toys.store.preload(["all"])

    try:
        asyncio.run(main())
    finally:
        toys.close()


@pytest.mark.parametrize("beside", [True, False])
def test_a_huge_file_keeps_nobody_waiting(tmp_path: Path, beside: bool) -> None:
    """Whoever names another file by name or digest is served at once, while others wait for a digest that no small file has."""
    (tmp_path / "good.toy").write_text("3")
    for name in ("a", "b"):
        with (tmp_path / f"{name}.toy").open("wb") as file:
            file.truncate(1 << 40)
    if beside:
        (tmp_path / "good.toy.sha256").write_text(f"{digest_of(b'3')}  good.toy\n")
    toys = ToyStore(tmp_path, lambda: None)

    async def main() -> None:
        names = (f"sha256:{'0' * 64}", f"sha256:{'1' * 64}", "a", "b")
        waiting = [asyncio.ensure_future(toys.store.by_paths([name])) for name in names]
        await asyncio.sleep(0.1)
        for name in ("good", f"sha256:{digest_of(b'3')}"):
            assert await toys.product_of(await asyncio.wait_for(toys.store.by_paths([name]), 10)) == 3
        assert not any(each.done() for each in waiting)
        for each in waiting:
            each.cancel()
        await asyncio.wait(waiting)

    try:
        asyncio.run(main())
    finally:
        toys.close()


def test_bytes_are_looked_for_in_files_of_their_size_alone(tmp_path: Path) -> None:
    """A client that sends a model does not wait for a huge file of the store; it shares the file that has its content."""
    (tmp_path / "good.toy").write_text("3")
    with (tmp_path / "a.toy").open("wb") as file:
        file.truncate(1 << 40)
    toys = ToyStore(tmp_path, lambda: None, policy="known")

    async def main() -> None:
        model, _ = await asyncio.wait_for(toys.store.by_bytes([("sent", memoryview(b"3"))]), 10)
        assert model.path == tmp_path / "good.toy"
        with pytest.raises(PermissionDenied, match="not a model of the store"):
            await asyncio.wait_for(toys.store.by_bytes([("sent", memoryview(b"5"))]), 10)

    try:
        asyncio.run(main())
    finally:
        toys.close()


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
