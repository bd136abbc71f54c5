"""Clients that leave while what they sent is checked: whom that delays, and what stays of it."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from agent.store.folder import StoreFolder
from agent.store.model import StoredModel
from agent.store.models import Store
from agent.store.room import Room
from tests.support import toyplugin
from vaccel_common.modelfile import Extras


class Checks:
    """The check of uploads, which waits until ``may_end`` is set, or, unless it is ``stubborn``, until it is given up."""

    def __init__(self, *, stubborn: bool) -> None:
        self.stubborn, self.may_end = stubborn, threading.Event()
        self.running = self.ended = 0

    def __call__(self, _: Path, __: Sequence[str], given_up: threading.Event) -> None:
        self.running += 1
        while not self.may_end.wait(0.005) and (self.stubborn or not given_up.is_set()):
            pass
        self.ended += 1

    def more_than(self, count: int) -> bool:
        """Whether more have begun."""
        return self.running > count


async def until(condition: Callable[[], bool]) -> None:
    """Waits for it, for 10 s at most."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.002)


@pytest.fixture
def checks(request: pytest.FixtureRequest) -> Iterator[Checks]:
    checks = Checks(stubborn=getattr(request, "param", False))
    yield checks
    checks.may_end.set()


@pytest.fixture
def store(checks: Checks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store with the model good.toy."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "good.toy").write_text("3")
    engine = toyplugin.open("cpu", 1)
    store = Store(StoreFolder(tmp_path, lambda: (".toy",)), "allow", engine.load, checks, room=Room(models=4, uploads=100))
    yield store
    checks.may_end.set()
    store.close()


def sending(store: Store, data: bytes) -> asyncio.Task[StoredModel]:
    """A client that sends a model of these bytes."""

    async def send() -> StoredModel:
        return (await store.by_bytes([("sent", memoryview(data))]))[0]

    return asyncio.ensure_future(send())


@pytest.mark.parametrize("checks", [False, True], indirect=True)
def test_who_leaves_during_a_check_delays_no_name(store: Store, checks: Checks) -> None:
    """Not even where the checks of several, which all have left, cannot be ended."""

    async def main() -> None:
        for data in (b"1", b"2"):
            before, client = checks.running, sending(store, data)
            await until(partial(checks.more_than, before))
            client.cancel()
            await asyncio.wait([client])
        assert (await asyncio.wait_for(store.by_paths(["good"]), 10)).name == "good"

    asyncio.run(main())


def test_a_check_ends_with_its_client(store: Store, checks: Checks, tmp_path: Path) -> None:
    """Its thread is there for the next one, and its file is gone."""

    async def main() -> None:
        for i in range(5):
            client = sending(store, b"sent %d" % i)
            await until(lambda: checks.running > checks.ended)
            client.cancel()
            await until(lambda: checks.running == checks.ended)
        checks.may_end.set()
        assert (await asyncio.wait_for(sending(store, b"7"), 10)).uploaded
        assert len([*(tmp_path / "tmp").glob("*/*")]) == 1

    asyncio.run(main())


@pytest.mark.parametrize("leaves", [False, True])
def test_a_file_that_no_model_owns_goes(
    store: Store, checks: Checks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leaves: bool
) -> None:
    """A client may leave after the check, too, while the file's entries are read; and reading them may fail."""
    checks.may_end.set()
    reading, go_on = threading.Event(), threading.Event()

    def entries(_: Path) -> Extras:
        reading.set()
        go_on.wait(10)
        if leaves:
            return Extras(None, None, None, None)
        raise RecursionError

    monkeypatch.setattr("agent.store.uploaded_files.extras_of", entries)

    async def main() -> None:
        client = sending(store, b"sent")
        await until(reading.is_set)
        if leaves:
            client.cancel()
        go_on.set()
        with pytest.raises(asyncio.CancelledError if leaves else RecursionError):
            await client
        await until(lambda: not [*(tmp_path / "tmp").glob("*/*")])
        assert store.models == []

    try:
        asyncio.run(main())
    finally:
        go_on.set()


def test_a_check_ends_with_the_agent(store: Store, checks: Checks) -> None:
    """Also while its client still waits."""

    async def main() -> None:
        client = sending(store, b"7")
        await until(lambda: checks.running == 1)
        store.close()
        assert checks.ended == 1
        client.cancel()
        await asyncio.wait([client])

    asyncio.run(main())
