"""What a client sent does not depend on a file of the store that is gone, though its model is still in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.store.model import StoredModel
from tests.agent.test_contents import ToyStore, digest_of
from vaccel_rpc.errors import NotFound, PermissionDenied

THREE = memoryview(b"3")


@pytest.fixture
def toys(tmp_path: Path) -> Iterator[ToyStore]:
    """A store with number.toy, which is 3; clients may send any bytes."""
    (tmp_path / "number.toy").write_text("3")
    toys = ToyStore(tmp_path, lambda: None, policy="allow")
    yield toys
    toys.close()


async def loaded(toys: ToyStore) -> StoredModel:
    """The store's model, in memory."""
    model = await toys.store.by_paths(["number"])
    assert await toys.product_of(model) == 3
    return model


async def check(toys: ToyStore, model: StoredModel) -> None:
    """It can be read back, and runs after it has left memory, too."""
    for _ in range(2):
        assert await toys.store.data(model, digest_of(b"3")) == b"3"
        assert await toys.product_of(model) == 3
        await toys.store.unload(model)


@pytest.mark.parametrize("becomes", [None, "5", "55"])
def test_bytes_are_kept_where_the_store_has_them_in_memory_alone(toys: ToyStore, tmp_path: Path, becomes: str | None) -> None:
    """Whether its file was removed or replaced; clients of that file run the bytes then, for as long as their sender is there."""

    async def main() -> None:
        model = await loaded(toys)
        if becomes is None:
            (tmp_path / "number.toy").unlink()
        else:
            (tmp_path / "number.toy").write_text(becomes)
        sent, _ = await toys.store.by_bytes([("sent", THREE)])
        assert sent is model
        assert model.label == "number", "as long as what was loaded from the store is in memory"
        await check(toys, sent)
        assert model.label == "upload"
        kept = model.path
        assert kept
        assert kept.parent != tmp_path
        toys.store.release(model)
        await check(toys, model)
        toys.store.release(model)
        assert not kept.exists()
        with pytest.raises(NotFound):
            await toys.store.by_paths([f"sha256:{digest_of(b'3')}"])

    asyncio.run(main())


def test_the_same_content_in_another_file_of_the_store_serves(toys: ToyStore, tmp_path: Path) -> None:
    """As where a file was renamed: nothing is kept, and the model is loaded from that file."""

    async def main() -> None:
        await loaded(toys)
        (tmp_path / "number.toy").rename(tmp_path / "renamed.toy")
        sent, _ = await toys.store.by_bytes([("sent", THREE)])
        assert sent.path == tmp_path / "renamed.toy"
        await check(toys, sent)

    asyncio.run(main())


def test_where_only_models_of_the_store_are_accepted_one_in_memory_alone_is_none(tmp_path: Path) -> None:
    """Its bytes could not be kept."""
    (tmp_path / "number.toy").write_text("3")
    toys = ToyStore(tmp_path, lambda: None, policy="known")

    async def main() -> None:
        await loaded(toys)
        await toys.store.by_bytes([("sent", THREE)])
        (tmp_path / "number.toy").unlink()
        with pytest.raises(PermissionDenied, match="not a model of the store"):
            await toys.store.by_bytes([("sent", THREE)])

    try:
        asyncio.run(main())
    finally:
        toys.close()


def test_metrics_name_no_upload_by_its_sender(toys: ToyStore, tmp_path: Path) -> None:
    """Nor once the store has the same content while what the client sent is in memory."""

    async def main() -> None:
        (tmp_path / "number.toy").unlink()
        model, _ = await toys.store.by_bytes([("sent", THREE)])
        await toys.store.form(model)
        toys.store.release(model)
        (tmp_path / "number.toy").write_text("3")
        model = await toys.store.by_paths(["number"])
        assert model.label == "upload"
        await check(toys, model)
        assert await toys.product_of(model) == 3
        assert model.label == "number"

    asyncio.run(main())
