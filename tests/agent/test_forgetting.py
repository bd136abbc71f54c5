"""What the agent keeps of models and files that come and go: nothing, once nobody uses them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.store.filecache import FileCache
from agent.store.folder import StoreFolder
from agent.store.models import Store
from agent.store.room import Room
from tests.support import toyplugin
from vaccel_rpc.errors import InvalidArgument, RpcError

NAMES = [f"model{i}" for i in range(20)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store of twenty toys that may all be in memory."""
    for i, name in enumerate(NAMES):
        (tmp_path / f"{name}.toy").write_text(str(i))
    engine = toyplugin.open("cpu", 1)
    store = Store(StoreFolder(tmp_path, lambda: (".toy",)), "deny", engine.load, lambda *_: None, room=Room(models=30))
    yield store
    store.close()


def test_a_model_that_was_only_registered_is_forgotten(store: Store) -> None:
    """Clients register models and leave without a run: the store holds those that are registered now."""

    async def run() -> None:
        models = [await store.by_paths([name]) for name in NAMES]
        assert len(store.models) == len(NAMES)
        for model in models[1:]:
            store.release(model)
        assert store.models == models[:1]

    asyncio.run(run())


def test_a_model_that_cannot_be_loaded_is_forgotten(store: Store, tmp_path: Path) -> None:
    """Also one whose client has left while it was loaded, and one that an operator has asked for again and again."""
    (tmp_path / "broken.toy").write_text("no number")

    async def run() -> None:
        model = await store.by_paths(["broken"])
        loading = asyncio.ensure_future(store.form(model))
        await asyncio.sleep(0)
        store.release(model)
        with pytest.raises(InvalidArgument, match="no number"):
            await loading
        assert store.models == []
        for _ in range(3):
            with pytest.raises(RpcError, match="no number"):
                await store.preload(["broken"])
        assert store.models == []

    asyncio.run(run())


def test_a_model_whose_client_leaves_before_its_run_can_leave_memory(store: Store) -> None:
    """A run that began before its model was released loads it, and the store knows it as any other that nobody uses."""

    async def run() -> None:
        model = await store.by_paths(["model3"])
        store.release(model)
        await store.form(model)
        assert store.loaded == [model]
        await store.unload(model)
        assert store.models == []

    asyncio.run(run())


def test_results_of_files_that_are_gone_are_dropped(tmp_path: Path) -> None:
    """Models of changing names come and go, such as one a day; those that stay are read once."""
    reads: list[Path] = []

    def read(path: Path) -> str:
        reads.append(path)
        return path.read_text()

    cache = FileCache(read)
    stays = [tmp_path / f"{i}.toy" for i in range(50)]
    for path in stays:
        path.write_text(path.name)
    for day in range(300):
        new = tmp_path / f"day{day}.toy"
        new.write_text("x")
        assert [cache.of(path) for path in (*stays, new)] == [*(path.name for path in stays), "x"]
        new.unlink()
    assert len(reads) == len(stays) + 300
    assert len(cache) <= 2 * len(stays)
