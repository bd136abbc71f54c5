"""What clients send takes no more of the disk than --max-uploads, though what is in memory keeps files that are removed."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from agent.store.model import StoredModel
from tests.agent.test_contents import ToyStore
from tests.agent.test_onnx_boxed import TEXT, wait
from tests.support.clients import client
from tests.support.onnxmodels import constant, foreign
from tests.support.servers import SpawnAgent
from vaccel_rpc.errors import ResourceExhausted

KIB = 1 << 10


@pytest.fixture
def toys(tmp_path: Path) -> Iterator[ToyStore]:
    """A store to which clients may send 1000 bytes."""
    toys = ToyStore(tmp_path, lambda: None, policy="allow")
    yield toys
    toys.close()


async def sent(toys: ToyStore, number: int, size: int = 400) -> StoredModel:
    """A model of so many bytes."""
    model, _ = await toys.store.by_bytes([("sent", memoryview(str(number).ljust(size).encode()))])
    return model


async def ran(toys: ToyStore, number: int, size: int = 400) -> StoredModel:
    """The same, in memory, and nobody has registered it any more."""
    model = await sent(toys, number, size)
    assert await toys.product_of(model) == number
    toys.store.release(model)
    return model


def test_a_model_that_nobody_has_registered_leaves_memory_for_another_upload(toys: ToyStore) -> None:
    """The one unused for longest first, and none without need or where that would not be enough."""

    async def main() -> None:
        first, second = await ran(toys, 1), await ran(toys, 2)
        await toys.store.form(first)
        third = await sent(toys, 3, 600)
        assert toys.store.loaded == [first]
        with pytest.raises(ResourceExhausted, match="uploaded models hold 1000 bytes") as refused:
            await sent(toys, 4, 401)
        assert refused.value.retry_after
        assert toys.store.loaded == [first]
        await sent(toys, 4, 400)
        assert toys.store.loaded == []
        assert second not in toys.store.models
        toys.store.release(third)
        await sent(toys, 5, 600)

    asyncio.run(main())


def test_a_file_counts_for_as_long_as_something_runs_that_was_loaded_from_it(toys: ToyStore) -> None:
    """As a batch whose client has left; the same bytes that are sent again take their space once more."""

    async def main() -> None:
        model = await sent(toys, 1, 600)
        program = (await toys.store.form(model)).program
        toys.store.release(model)
        with pytest.raises(ResourceExhausted, match="uploaded models hold 600 bytes"):
            await sent(toys, 2, 401)
        with pytest.raises(ResourceExhausted, match="uploaded models hold 600 bytes"):
            await sent(toys, 1, 600)
        kept = await sent(toys, 2, 400)
        assert program.signature
        del program
        gc.collect()
        toys.store.release(kept)
        await sent(toys, 3, 1000)

    asyncio.run(main())


def test_a_file_counts_while_it_is_being_loaded(tmp_path: Path) -> None:
    """Though its client has left."""
    begun, gate = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        gate.wait(10)

    toys = ToyStore(tmp_path, hold, policy="allow")

    async def main() -> None:
        model = await sent(toys, 1, 600)
        loading = asyncio.ensure_future(toys.store.form(model))
        await asyncio.to_thread(begun.wait, 10)
        toys.store.release(model)
        with pytest.raises(ResourceExhausted, match="uploaded models hold 600 bytes"):
            await sent(toys, 2, 401)
        gate.set()
        await loading
        del loading
        await sent(toys, 2, 401)

    try:
        asyncio.run(main())
    finally:
        toys.close()


def test_the_disk_that_an_agent_takes_is_bounded(spawn_agent: SpawnAgent) -> None:
    """Clients that upload, run and leave, one after the other, are all served; of models that are registered only so many fit."""
    agent = spawn_agent("--uploads", "allow", "--max-uploads", "1")

    def upload(number: int) -> tuple[int, int]:
        made = foreign()
        made.graph.initializer.append(constant("unused", np.full(400 * KIB, number, np.uint8)))
        resource = calls.register_bytes(session, made.SerializeToString())
        assert calls.run(session, resource, TEXT, 1)
        return session, resource

    calls = client(agent)
    session = calls.create_session()
    for number in range(5):
        calls.unregister(*upload(number))
        wait(lambda: _removed(agent.process.pid) <= KIB**2)
    resources = [upload(number) for number in (5, 6)]
    with pytest.raises(ResourceExhausted, match="max-uploads"):
        upload(7)
    calls.unregister(*resources[0])
    upload(7)


def _removed(pid: int) -> int:
    """The bytes of removed files that a process has open."""
    places = [
        path for path in Path(f"/proc/{pid}/fd").iterdir() if "vaccel-uploads" in (link := _link(path)) and "deleted" in link
    ]
    return sum({(status.st_dev, status.st_ino): status.st_size for status in map(os.stat, places)}.values())


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""
