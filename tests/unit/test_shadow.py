"""When shadow runs begin, and that they are bounded: the batcher and the queue in process, without an engine."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from agent.batching.batcher import Batcher
from agent.engines.contract import Batch
from agent.engines.cost import UNKNOWN
from agent.metrics import AgentMetrics
from agent.operations.running import ModelRunner
from agent.operations.shadow import MAX_BYTES, MAX_WAITING, ShadowRuns
from agent.packing import BatchLimits
from agent.store.alias import Alias, Share, Targets
from agent.store.aliasfile import AliasSpec
from agent.store.folder import StoreFolder
from agent.store.model import StoredModel
from agent.store.models import Store
from agent.store.room import Room
from vaccel_common.interface import ModelInterface
from vaccel_common.modelfile import Signature, TensorSpec
from vaccel_rpc.tensors import Tensor, from_values

X = TensorSpec("x", "float32", ("n", 2))
ROW = [from_values("float32", (1, 2), (1, 2))]


class Copying:
    """float32 [n, 2] -> the same; a file ``held`` runs only while ``gate`` is open."""

    joinable = True
    cost = UNKNOWN
    gate = threading.Event()

    def __init__(self, path: Path) -> None:
        self.signature: Signature | None = Signature("copy", "regression", None, (X,), (X,), "n", None)
        self._held = path.stem == "held"

    def run(self, requests: Sequence[Sequence[Tensor]], *, alone: bool) -> Batch:  # noqa: ARG002 as every program's
        began = time.monotonic()
        if self._held:
            self.gate.wait(30)
        return Batch([list(request) for request in requests], began, time.monotonic())


class Scene:
    """A store with the models ``held`` and ``shadow``, of which the second is the first one's shadow, and one worker."""

    def __init__(self, folder: Path) -> None:
        for name in ("held", "shadow"):
            (folder / f"{name}.copy").write_text(name)
        Copying.gate.clear()
        self.metrics = AgentMetrics()
        self.store = Store(StoreFolder(folder, lambda: (".copy",)), "deny", Copying, lambda *_: None, room=Room(models=4))
        self.batcher = Batcher(1, BatchLimits(), max_queue=9, max_queue_tokens=99, max_delay=0, observe=self.metrics.batch)
        self.runner = ModelRunner(self.batcher)
        self.shadow = ShadowRuns(self.store, self.runner, self.batcher, self.metrics)

    async def prepare(self) -> None:
        self.live, self.second = [await self.store.by_paths([name]) for name in ("held", "shadow")]
        self.program = (await self.store.form(self.live)).program
        targets = Targets(self.live, shadow=Share(self.second, 100))
        self.alias = Alias("tweets", ModelInterface(), AliasSpec(self.live.digest), targets, self._no_other)

    async def _no_other(self, alias: Alias, digest: str) -> StoredModel:
        raise AssertionError((alias, digest))

    def count(self, result: str) -> float:
        labels = {"alias": "tweets", "sha256": self.second.digest, "result": result}
        return self.metrics.registry.get_sample_value("vaccel_shadow_runs_total", labels) or 0.0

    async def until(self, result: str, count: int) -> None:
        async with asyncio.timeout(30):
            while self.count(result) != count:
                await asyncio.sleep(0.01)

    def close(self) -> None:
        Copying.gate.set()
        self.batcher.close()
        self.store.close()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[tuple[asyncio.Runner, Scene]]:
    with asyncio.Runner() as runner:

        async def assemble() -> Scene:
            made = Scene(tmp_path)
            await made.prepare()
            return made

        made = runner.run(assemble())
        yield runner, made
        made.close()


def test_shadows_wait_while_there_is_work(scene: tuple[asyncio.Runner, Scene]) -> None:
    """With the one worker busy none begins; so many wait, and further ones are dropped. Then all that wait run."""
    runner, parts = scene

    async def follow() -> None:
        live = asyncio.create_task(parts.runner.run(parts.program, ROW, None, "held"))
        await asyncio.sleep(0.05)
        for _ in range(MAX_WAITING + 9):
            parts.shadow.offer(parts.alias, parts.live, ROW, ROW)
        await parts.until("dropped", 9)
        await asyncio.sleep(0.3)
        assert parts.count("agreed") == 0
        assert not live.done()
        Copying.gate.set()
        await live
        await parts.until("agreed", MAX_WAITING)

    runner.run(follow())


def test_what_would_take_long_has_no_shadow(scene: tuple[asyncio.Runner, Scene]) -> None:
    """The last size that has one, and the first that has none."""
    runner, parts = scene

    async def follow() -> None:
        for size in (MAX_BYTES, MAX_BYTES + 8):
            rows = [from_values("float32", (size // 8, 2), [0.0] * (size // 4))]
            parts.shadow.offer(parts.alias, parts.live, rows, rows)
        await parts.until("agreed", 1)
        await parts.until("dropped", 1)

    runner.run(follow())


def test_a_shadow_that_fails_is_counted(
    scene: tuple[asyncio.Runner, Scene], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And logged once; what comes after it runs."""
    runner, parts = scene

    async def follow() -> None:
        (tmp_path / "shadow.copy").unlink()
        for _ in range(3):
            parts.shadow.offer(parts.alias, parts.live, ROW, ROW)
        await parts.until("failed", 3)
        (tmp_path / "shadow.copy").write_text("shadow")
        parts.shadow.offer(parts.alias, parts.live, ROW, ROW)
        await parts.until("agreed", 1)

    runner.run(follow())
    assert sum("A shadow run of shadow" in record.message for record in caplog.records) == 1
