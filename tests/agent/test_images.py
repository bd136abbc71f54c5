"""Image classification over sockets: in both dialects and over gRPC, batched, with good and bad images."""

from __future__ import annotations

import re
import shutil
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from tests.support.clients import client, ids
from tests.support.collector import collecting_spans, values
from tests.support.imagemodels import COLOURS, image_signature, label_by_torch, save_export, save_script
from tests.support.paths import TWEETS
from tests.support.peers import wire
from tests.support.peers.dialects import SYNC_08
from tests.support.peers.raw_ttrpc import RawClient
from tests.support.pictures import declared_png, encoded, picture
from tests.support.servers import ServerProcess, SpawnAgent
from vaccel_common.imagespec import ImageSpec
from vaccel_rpc.client import VaccelClient
from vaccel_rpc.dialects import Version
from vaccel_rpc.errors import DeadlineExceeded, FailedPrecondition, InvalidArgument, NotFound

#: Pictures of several classes, as JPEG and PNG in turns.
PICTURES = [encoded(picture(seed), ("PNG", "JPEG")[seed % 2]) for seed in range(24)]
PATHS: list[tuple[str, Version]] = [("unix", "0.8"), ("unix", "0.7"), ("tcp", "0.8"), ("grpc", "0.8"), ("grpc", "0.7")]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_script(folder / "colours.pt", image_signature(), COLOURS)
    save_script(folder / "reversed.pt", image_signature(), COLOURS[::-1])
    save_script(folder / "plain.pt", None, None)
    save_script(folder / "slow.pt", image_signature(), COLOURS, rounds=60)
    save_script(folder / "slowest.pt", image_signature(), COLOURS, rounds=400)
    save_export(folder / "export.pt2")
    shutil.copy(TWEETS, folder)
    (folder / "labels.txt").write_text("\n".join(COLOURS) + "\n")
    return folder


@pytest.fixture
def images(spawn_agent: SpawnAgent, models: Path) -> ServerProcess:
    """An agent with these models, on every kind of address, and labels for those that have none."""
    options = ("--models", str(models), "--labels", str(models / "labels.txt"), "--metrics-address", "127.0.0.1:0")
    return spawn_agent(
        "-a", f"unix://{models}/{id(options)}.sock", "-a", "tcp://127.0.0.1:0", "-a", "grpc://127.0.0.1:0", *options
    )


def classifying(calls: VaccelClient, *models: str) -> int:
    """A session in which the models are registered, in this order."""
    session = calls.create_session()
    for model in models:
        calls.register_path(session, model)
    return session


def metrics(agent: ServerProcess) -> str:
    match = re.search(r"Metrics and health on '(http://[^']+)'", agent.text)
    assert match
    with urllib.request.urlopen(f"{match[1]}/metrics", timeout=10) as answer:
        text: str = answer.read().decode()
    return text


def test_labels_are_those_that_torch_gives(images: ServerProcess) -> None:
    """Over ttrpc and gRPC, in both dialects: decoded, prepared as the signature says, and named by labels.json."""
    expected = [label_by_torch(data) for data in PICTURES]
    assert len(Counter(expected)) >= 3, "pictures of several classes"
    for scheme, version in PATHS:
        calls = client(images, scheme, version)
        session = classifying(calls, "colours")
        assert [calls.classify_image(session, data) for data in PICTURES] == expected
        calls.close()
    assert images.text.count("Image classification") == len(PATHS) * len(PICTURES)
    assert re.search(r"session:1 Image classification", images.text)


@pytest.mark.parametrize("model", ["plain", "export"])
def test_a_file_without_a_signature_gets_imagenets_preprocessing(images: ServerProcess, model: str) -> None:
    """As upstream's example registers it; it runs alone, and the agent's labels name the classes."""
    calls = client(images)
    session = classifying(calls, model)
    for data in PICTURES[:6]:
        assert calls.classify_image(session, data) == label_by_torch(data, ImageSpec())


def test_tags_fill_the_buffers_of_upstreams_clients(images: ServerProcess) -> None:
    """They copy as many bytes as their own buffer has, without asking how many there are: 1024, zeros after the label."""
    calls = client(images)
    session = classifying(calls, "colours")
    tags = calls._call("classify_image", 10, session_id=session, image=PICTURES[0]).tags
    assert len(tags) == 1024
    assert tags == label_by_torch(PICTURES[0]).encode().ljust(1024, b"\0")


@pytest.mark.parametrize(("scheme", "version"), PATHS)
def test_a_generic_operation_writes_the_label(images: ServerProcess, scheme: str, version: Version) -> None:
    """IMAGE_CLASSIFY: the label as a C string in the first write argument, at its size; the others come back as they were."""
    calls = client(images, scheme, version)
    session = classifying(calls, "colours")
    opcode = calls.opcode({"0.7": 2, "0.8": 3}[version])
    label = label_by_torch(PICTURES[0]).encode()
    for genop in (calls.genop, calls.genop_stream):
        written = genop(session, [opcode, PICTURES[0]], [bytes(512), b"name\0"])
        assert written == [label.ljust(512, b"\0"), b"name\0"]
    assert calls.genop(session, [opcode, PICTURES[0]], [bytes(len(label) + 1)]) == [label + b"\0"]
    with pytest.raises(InvalidArgument, match=rf"needs {len(label) + 1} bytes with its NUL; the write argument has {len(label)}"):
        calls.genop(session, [opcode, PICTURES[0]], [bytes(len(label))])
    with pytest.raises(InvalidArgument, match=r"reads one argument after the operation's number, the image, .* has 0 and 1"):
        calls.genop(session, [opcode], [bytes(512)])
    with pytest.raises(InvalidArgument, match="has 1 and 0"):
        calls.genop(session, [opcode, PICTURES[0]])
    with pytest.raises(InvalidArgument, match="the image is empty"):
        calls.genop(session, [opcode, b""], [bytes(512)])


def test_a_generic_operation_gives_back_what_was_not_sent_along(images: ServerProcess) -> None:
    """A write argument without bytes (`Arg.unallocated`) comes back with the label, at the size that it asks for."""
    with RawClient(images.addresses["unix"]) as calls:
        session = wire.integer(wire.decode(calls.ok(SYNC_08.service, "CreateSession", b"")), 1)
        calls.ok(SYNC_08.service, "RegisterResource", SYNC_08.register(session, paths=["colours"]))
        args = [wire.message((2, size), (7, 1)) for size in (300, 20)]
        request = SYNC_08.genop(session, SYNC_08.opcode(3), SYNC_08.arg(PICTURES[0]), write_args=args)
        reply = wire.decode(calls.ok(SYNC_08.service, "Genop", request))
    first, second = (wire.decode(arg) for arg in wire.blobs(reply, 1))
    assert first == {1: [label_by_torch(PICTURES[0]).encode().ljust(300, b"\0")], 2: [300]}
    assert second == {1: [bytes(20)], 2: [20]}


def test_the_model_registered_last_counts(images: ServerProcess) -> None:
    """Also after it is unregistered: then it is the one before."""
    calls = client(images)
    session = classifying(calls, "tweets")
    first = calls.register_path(session, "colours")
    last = calls.register_path(session, "reversed")
    label = label_by_torch(PICTURES[0])
    opposite = COLOURS[-1 - COLOURS.index(label)]
    assert opposite != label
    assert calls.classify_image(session, PICTURES[0]) == opposite
    calls.register_again(session, first)
    assert calls.classify_image(session, PICTURES[0]) == label
    calls.register_again(session, last)
    assert calls.classify_image(session, PICTURES[0]) == opposite
    calls.unregister(session, last)
    assert calls.classify_image(session, PICTURES[0]) == label


def test_a_model_is_needed_and_one_that_takes_images(images: ServerProcess) -> None:
    """INVALID_ARGUMENT that says what to do, or what the model takes."""
    calls = client(images)
    session = calls.create_session()
    with pytest.raises(InvalidArgument, match=rf"session {session} has no model: register one with it"):
        calls.classify_image(session, PICTURES[0])
    calls.register_path(session, "tweets")
    with pytest.raises(
        InvalidArgument, match=r"tweets does not classify images: it takes input_ids int64 \['n', 't'\], attention_mask"
    ):
        calls.classify_image(session, PICTURES[0])
    with pytest.raises(NotFound, match="Unknown session 77"):
        calls.classify_image(77, PICTURES[0])


def test_a_wrong_image_is_refused_and_the_next_is_answered(images: ServerProcess) -> None:
    """INVALID_ARGUMENT with the reason, and no line in the log beyond the call's own."""
    calls = client(images)
    session = classifying(calls, "colours")
    for data, says in (
        (b"", "the image is empty"),
        (b"GIF89a;", "format is GIF; JPEG and PNG are accepted"),
        (PICTURES[0][:700], "the PNG image is incomplete"),
        (declared_png(50_000, 50_000), "50000 x 50000 pixels"),
        (bytes((16 << 20) + 1), "--max-image"),
    ):
        with pytest.raises(InvalidArgument, match=says):
            calls.classify_image(session, data)
    assert calls.classify_image(session, PICTURES[1]) == label_by_torch(PICTURES[1])
    assert "Traceback" not in images.text
    assert not re.search("WARN|ERROR", images.text)
    counted = metrics(images)
    assert 'vaccel_rpc_requests_total{code="INVALID_ARGUMENT",method="ImageClassification"} 5.0' in counted
    assert 'vaccel_rpc_requests_total{code="OK",method="ImageClassification"} 1.0' in counted


def test_clients_share_batches(images: ServerProcess) -> None:
    """16 clients at once, beside texts: every label is right, and there are fewer batches than images."""
    texts, colours = client(images), client(images, "tcp")
    for calls, model in ((texts, "tweets"), (colours, "slow")):
        session = calls.create_session()
        calls.load(session, calls.register_path(session, model))
    before = re.search(r'vaccel_model_run_duration_seconds_count\{model="slow"\} (\d+)', metrics(images))

    def classify(number: int) -> list[str]:
        calls = client(images, ("unix", "tcp", "grpc")[number % 3], ("0.8", "0.7")[number % 2])
        session = classifying(calls, "slow")
        return [calls.classify_image(session, data, 60) for data in PICTURES[:12]]

    def read(_: int) -> list[bytes]:
        calls = client(images)
        session = calls.create_session()
        model = calls.register_path(session, "tweets")
        return [bytes(calls.run(session, model, ids(101, 2204, 2001 + i, 102), 1, 60)[0].data) for i in range(20)]

    with ThreadPoolExecutor(18) as pool:
        labels, outputs = pool.map(classify, range(16)), pool.map(read, range(2))
        assert list(labels) == [[label_by_torch(data) for data in PICTURES[:12]]] * 16
        first, second = outputs
    assert len(first) == len(second) == 20
    after = re.search(r'vaccel_model_run_duration_seconds_count\{model="slow"\} (\d+)', metrics(images))
    assert after
    batches = int(after[1]) - (int(before[1]) if before else 0)
    assert batches < 16 * 12 * 0.75, f"{batches} batches of {16 * 12} images"


def test_a_model_without_labels_that_fit_is_a_failed_precondition(spawn_agent: SpawnAgent, models: Path, tmp_path: Path) -> None:
    """The message says how many there must be and where they come from."""
    (tmp_path / "two.txt").write_text("yes\nno\n")
    calls = client(spawn_agent("--models", str(models), env={"VACCEL_TORCH_LABELS": str(tmp_path / "two.txt")}))
    session = classifying(calls, "plain")
    with pytest.raises(FailedPrecondition, match=r"5 classes .* no labels.json, --labels \(VACCEL_TORCH_LABELS\) has 2"):
        calls.classify_image(session, PICTURES[0])
    calls.register_path(session, "colours")
    assert calls.classify_image(session, PICTURES[0]) == label_by_torch(PICTURES[0])


def test_a_file_of_labels_that_cannot_be_read_ends_the_start(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """Exit code 2, and one line that says why."""
    agent = spawn_agent(ready=False, env={"VACCEL_TORCH_LABELS": str(tmp_path / "none.txt")})
    assert agent.process.wait(60) == 2
    assert "Invalid value for '--labels'" in agent.text
    assert "No such file or directory" in agent.text


def test_the_deadline_holds(images: ServerProcess) -> None:
    """An image of a slow model is dropped at its deadline, and the agent goes on."""
    calls = client(images)
    session = classifying(calls, "slowest")
    calls.classify_image(session, PICTURES[0])
    with pytest.raises(DeadlineExceeded):
        calls.classify_image(session, PICTURES[0], timeout=0.001)
    assert calls.classify_image(session, PICTURES[0]) == label_by_torch(PICTURES[0])


def test_large_images_at_once_share_the_memory(spawn_agent: SpawnAgent, models: Path) -> None:
    """16 images of 4 megapixels, 8 bytes a pixel, and 8 threads: they are decoded one after another, and the agent goes on."""
    agent = spawn_agent("--models", str(models), "--threads", "8", "--max-image-pixels", "4", "-a", f"unix://{models}/large.sock")
    large = encoded(Image.new("RGBA", (2000, 2000), (200, 30, 30, 255)), compress_level=1)
    calls = client(agent)
    session = classifying(calls, "colours")
    label = calls.classify_image(session, encoded(Image.new("RGB", (90, 70), (200, 30, 30))))

    def peak() -> int:
        status = Path(f"/proc/{agent.process.pid}/status").read_text()
        match = re.search(r"VmHWM:\s+(\d+)", status)
        assert match
        return int(match[1]) // 1024

    before = peak()
    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(lambda _: calls.classify_image(session, large, 60), range(16))) == {label}
    assert peak() - before < 100, "eight at once would be 256 MB"
    with pytest.raises(InvalidArgument, match="2001 x 2000 pixels, more than the limit of 4000000"):
        calls.classify_image(session, encoded(Image.new("L", (2001, 2000))))


def test_the_profile_has_the_classification(images: ServerProcess) -> None:
    """The whole call and its parts, as for a run; decoding is within the first."""
    calls = client(images)
    session = classifying(calls, "colours")
    calls.classify_image(session, PICTURES[0])
    profile = calls.profile(session)
    ((start, duration),) = next(samples for name, samples in profile.items() if name.endswith("image_classification"))
    ((forward, seconds),) = next(samples for name, samples in profile.items() if name.endswith("forward"))
    assert start < forward
    assert forward + seconds <= start + duration


def test_a_classification_has_a_span(spawn_agent: SpawnAgent, models: Path) -> None:
    """As a run has, with the batch's regions below it; a generic operation has none."""
    with collecting_spans() as collector:
        agent = spawn_agent("--models", str(models), env=collector.env)
        calls = client(agent)
        session = classifying(calls, "colours")
        calls.classify_image(session, PICTURES[0])
        calls.genop(session, [calls.opcode(3), PICTURES[0]], [bytes(512)])
        assert agent.stop() == 0
        span = collector.one("vaccel-rpc-agent: vaccel.sync.agent.AgentService/ImageClassification")
        assert values(span.attributes)["vaccel.batch.rows"] == 1
        assert collector.one("vaccel-rpc-agent: forward").parent_span_id == span.span_id
