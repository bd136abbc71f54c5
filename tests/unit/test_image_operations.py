"""Image classification in process, by an engine that is not torch: the contract is all that it needs."""

from __future__ import annotations

import asyncio
import json
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agent.batching.batcher import Batcher
from agent.engines.contract import Batch
from agent.engines.cost import UNKNOWN
from agent.imaging.decoding import ImageLimits
from agent.imaging.reader import ImageReader
from agent.metrics import AgentMetrics
from agent.packing import BatchLimits
from agent.service import RpcService
from agent.sessions import Sessions
from agent.store.aliases import Aliases
from agent.store.folder import StoreFolder
from agent.store.models import Store
from agent.store.room import Room
from tests.support.pictures import encoded
from vaccel_common.modelfile import Signature, TensorSpec
from vaccel_rpc.errors import FailedPrecondition, Internal
from vaccel_rpc.proto.dialect08 import image_pb2, resource_pb2
from vaccel_rpc.tensors import Tensor, from_values

SERVICE = "vaccel.sync.agent.AgentService"


class BrightestChannel:
    """float32 [n, 3, 8, 8] -> the mean of each channel, float32 [n, 3]; a file ``broken.mean`` gives NaN."""

    joinable = True
    cost = UNKNOWN

    def __init__(self, path: Path) -> None:
        image, means = TensorSpec("image", "float32", ("n", 3, 8, 8)), TensorSpec("means", "float32", ("n", 3))
        self.signature: Signature | None = Signature("means", "regression", None, (image,), (means,), "n", None)
        self._scale = float("nan") if path.stem == "broken" else 1.0

    def run(self, requests: Sequence[Sequence[Tensor]], *, alone: bool) -> Batch:  # noqa: ARG002 as every program's
        began = time.monotonic()
        means = [np.frombuffer(image.data, np.float32).reshape(3, 64).mean(1) * self._scale for (image,) in requests]
        return Batch([[from_values("float32", (1, 3), row.tolist())] for row in means], began, time.monotonic())


class ImageService:
    """The service over a folder of models, without sockets."""

    def __init__(self, folder: Path, labels: Sequence[str]) -> None:
        self.runner = asyncio.Runner()
        metrics = AgentMetrics()
        self.store = Store(
            StoreFolder(folder, lambda: (".mean",)), "deny", BrightestChannel, lambda *_: None, room=Room(models=4)
        )
        self.batcher = self.runner.run(self._batcher(metrics))
        self.reader = ImageReader(ImageLimits(1 << 20, 1 << 20, in_flight=2), 1)
        self.service = RpcService(
            self.store, Aliases(self.store, None, metrics), self.batcher, metrics, self.reader, labels, max_message=1 << 20
        )
        self.scope = Sessions(9, 9, lambda _: None).scope(secret=False)
        self.session = self.scope.create(0).id

    async def _batcher(self, metrics: AgentMetrics) -> Batcher:
        return Batcher(1, BatchLimits(), max_queue=9, max_queue_tokens=9, max_delay=0, observe=metrics.batch)

    def close(self) -> None:
        self.batcher.close()
        self.reader.close()
        self.store.close()
        self.runner.close()

    def call(self, method: str, request: bytes) -> bytes:
        endpoint = self.service.endpoint(SERVICE, method)
        return b"".join(self.runner.run(self.service.call(endpoint, self.scope, request, None)))

    def register(self, name: str) -> None:
        request = resource_pb2.RegisterRequest(paths=[name], session_id=self.session, resource_type=resource_pb2.MODEL)
        self.call("RegisterResource", request.SerializeToString())

    def tags(self, colour: tuple[int, int, int]) -> bytes:
        image = encoded(Image.new("RGB", (20, 10), colour))
        reply = self.call("ImageClassification", image_pb2.Request(session_id=self.session, image=image).SerializeToString())
        return image_pb2.Response.FromString(reply).tags


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("means", "broken"):
        (tmp_path / f"{name}.mean").write_text(name)
    return tmp_path


@pytest.fixture
def agents(folder: Path) -> Iterator[list[ImageService]]:
    """Agents with labels that fit, with long ones, and with such as labels.json can hold."""
    agents = [
        ImageService(folder, labels)
        for labels in (("red", "green", "blue"), ("r" * 1023, "g" * 1024, "b"), ("\ud800", "Grün", ""))
    ]
    yield agents
    for agent in agents:
        agent.close()


def test_any_engine_classifies_images(agents: list[ImageService]) -> None:
    """Its signature says what the input is, the agent's labels name the classes; its file need not be an archive."""
    agents[0].register("means")
    for colour, label in (((250, 9, 9), b"red"), ((9, 250, 9), b"green"), ((9, 9, 250), b"blue")):
        assert agents[0].tags(colour) == label.ljust(1024, b"\0")


def test_labels_are_those_of_the_file_that_was_loaded(agents: list[ImageService], folder: Path) -> None:
    """Whatever has the model's name by the next image."""
    model = folder / "means.mean"

    def name(*labels: str) -> None:
        new = folder / "new"
        with zipfile.ZipFile(new, "w") as archive:
            archive.writestr("labels.json", json.dumps(labels))
        new.rename(model)

    name("one", "two", "three")
    agents[0].register("means")
    assert agents[0].tags((250, 9, 9)).rstrip(b"\0") == b"one"
    name("four", "five", "six")
    assert agents[0].tags((250, 9, 9)).rstrip(b"\0") == b"one"
    agents[0].register("means")
    assert agents[0].tags((250, 9, 9)).rstrip(b"\0") == b"four"


def test_a_label_has_room_for_its_end(agents: list[ImageService]) -> None:
    """The longest has 1023 bytes; one more is a failed precondition, as a client would read on past its buffer."""
    agents[1].register("means")
    assert agents[1].tags((250, 9, 9)) == b"r" * 1023 + b"\0"
    with pytest.raises(FailedPrecondition, match=r"the label has 1024 bytes; .* room for 1023"):
        agents[1].tags((9, 250, 9))


def test_every_label_can_be_sent(agents: list[ImageService]) -> None:
    """Unpaired surrogates, which JSON can hold, become question marks; an empty label is empty."""
    agents[2].register("means")
    assert [agents[2].tags(colour).rstrip(b"\0") for colour in ((250, 9, 9), (9, 250, 9), (9, 9, 250))] == [
        b"?",
        "Grün".encode(),
        b"",
    ]


def test_a_failure_of_the_model_is_logged(agents: list[ImageService], caplog: pytest.LogCaptureFixture) -> None:
    """With session and model: upstream's clients show an errno."""
    agents[0].register("broken")
    with pytest.raises(Internal, match="NaN"):
        agents[0].tags((250, 9, 9))
    assert f"session:{agents[0].session} A run of model broken" in caplog.text
