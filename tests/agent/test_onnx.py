"""ONNX files by onnxruntime: the model that ships, files of other tools, and files that are not models."""

from __future__ import annotations

import importlib.util
import logging
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from agent.engines.arrays import difference, to_array
from agent.engines.cost import UNKNOWN
from agent.engines.layout import Layout
from agent.engines.onnx.program import OnnxProgram
from agent.engines.registry import Engines
from tests.support.clients import client
from tests.support.functions import function_of, post, wait_until_ready
from tests.support.onnxmodels import FLOAT, INT64, constant, expected, foreign, info, model, save_tweets
from tests.support.paths import ROOT, TWEETS
from tests.support.servers import SpawnAgent
from vaccel_common.modelfile import Signature, TensorSpec
from vaccel_rpc.errors import FailedPrecondition, Internal, InvalidArgument, ResourceExhausted
from vaccel_rpc.tensors import Tensor, from_values


@pytest.fixture(scope="module")
def engines() -> Engines:
    """The engines that ship, on two cores."""
    opened = Engines()
    opened.open("cpu", 2)
    return opened


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model that ships as ONNX, and files of others."""
    folder = tmp_path_factory.mktemp("store")
    save_tweets(folder / "tweets.onnx")
    onnx.save(foreign(types=True), folder / "foreign.onnx")
    onnx.save(foreign(half=True), folder / "half.onnx")
    return folder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "m.onnx"


def words(*rows: Sequence[int], types: bool = False) -> list[Tensor]:
    """The inputs of texts of one length for `foreign`."""
    dims, numbers = [len(rows), len(rows[0])], [word for row in rows for word in row]
    ones = from_values("int64", dims, [1] * len(numbers))
    return [from_values("int64", dims, numbers), ones, *([ones] if types else [])]


def close(tensor: Tensor, *texts: Sequence[int]) -> bool:
    """Whether the output is that of `foreign` for the texts."""
    tolerance = 2e-3 if tensor.dtype == "float16" else 1e-5
    return bool(np.allclose(to_array(tensor), [expected(*text) for text in texts], atol=tolerance))


def test_the_model_that_ships_gives_the_same_as_onnx(engines: Engines, store: Path) -> None:
    """Alone on all cores, beside others, and joined with longer texts: within 1e-4 of TorchScript's logits."""
    script, program = engines.load(TWEETS), engines.load(store / "tweets.onnx")
    assert isinstance(program, OnnxProgram)
    assert program.joinable
    assert program.cost != UNKNOWN
    layout = Layout(program.signature) if program.signature else pytest.fail("there is no signature")
    requests = [layout.example(length, rows, 97) for rows, length in ((1, 1), (3, 7), (2, 48), (1, 128))]
    reference = [script.run([request], alone=False).outputs[0] for request in requests]
    joined = program.run(requests, alone=False).outputs
    for request, outputs, in_batch in zip(requests, reference, joined, strict=True):
        for alone in (True, False):
            assert difference(program.run([request], alone=alone).outputs[0], outputs) < 1e-4
        assert difference(in_batch, outputs) < 1e-4


def test_threads_spin_no_longer_than_a_run(store: Path, engines: Engines) -> None:
    """A run that is alone has all cores, whose threads spin while they wait; after it they sleep."""
    program = engines.load(store / "tweets.onnx")
    program.run([words([1, 2, 3, 4])], alone=True)
    began = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - began < 0.1


def test_an_onnx_file_is_served_over_http(spawn_agent: SpawnAgent, store: Path, tmp_path: Path) -> None:
    """The function takes tokenizer, labels and signature from it, and the agent runs it."""
    agent = spawn_agent("--models", str(store), "--preload", "tweets.onnx")
    with function_of(tmp_path, agent.addresses["unix"], MODEL=str(store / "tweets.onnx")) as function:
        wait_until_ready(function)
        answer = post(function, {"text": "What a lovely day for a walk in the park"}).json()
    assert answer["label"] == "neither"
    assert answer["model"]["name"] == "tweets"


@pytest.mark.parametrize(("name", "types"), [("foreign", True), ("half", False)])
def test_a_foreign_file_is_served(spawn_agent: SpawnAgent, store: Path, name: str, types: bool) -> None:
    """Optimum's layout, without anything of ours: many clients' texts of several lengths, each with its own answer."""
    agent = spawn_agent("--models", str(store), "--preload", name)
    calls = client(agent)
    session = calls.create_session()
    resource = calls.register_path(session, f"{name}.onnx")
    texts = [[1 + i % 40] * (1 + i % 7) + [2] for i in range(40)]
    runs = [calls.start_run(session, resource, words(text, types=types), 1) for text in texts]
    assert all(close(run.result().outputs[0], text) for run, text in zip(runs, texts, strict=True))
    assert "run alone" not in agent.text


def test_the_signature_of_a_foreign_file(engines: Engines, store: Path) -> None:
    """Batch and length are those of its texts; the answer's float16 stays."""
    program = engines.load(store / "half.onnx")
    ids, mask = (TensorSpec(name, "int64", ("batch", "sequence")) for name in ("input_ids", "attention_mask"))
    logits = TensorSpec("logits", "float16", ("batch", 3))
    assert program.signature == Signature(
        "half", "single_label_classification", None, (ids, mask), (logits,), "batch", "sequence"
    )
    assert program.joinable


@pytest.mark.parametrize(
    ("dims", "batch"),
    [([None, None], "batch"), ([1, "t"], None), (["n", 8], "batch"), ([2, 8], None)],
)
def test_fixed_and_nameless_dimensions(engines: Engines, path: Path, dims: list[Any], batch: str | None) -> None:
    """What the graph fixes stays fixed, and is not joined."""
    cast = helper.make_node("Cast", ["input_ids"], ["logits"], to=FLOAT)
    onnx.save(model([cast], [info("input_ids", INT64, dims)], [info("logits", FLOAT, dims)]), path)
    signature = engines.load(path).signature
    assert signature is not None
    assert signature.batch == batch
    assert [isinstance(dim, int) for dim in signature.inputs[0].dims] == [isinstance(dim, int) for dim in dims]


def test_a_model_that_padding_changes_runs_alone(engines: Engines, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The trial finds it, and the log says so."""
    onnx.save(foreign(masked=False), path)
    with caplog.at_level(logging.WARNING):
        program = engines.load(path)
    assert not program.joinable
    assert "Padding changes the answers of m by" in caplog.text
    assert close(program.run([words([3, 4])], alone=True).outputs[0][0], [3, 4])


def test_outputs_without_a_row_for_each_text_are_not_split(engines: Engines, path: Path) -> None:
    """An output that claims a batch dimension and has one row for all."""
    total = helper.make_node("ReduceSum", ["input_ids"], ["s"], keepdims=0)
    row = helper.make_node("Unsqueeze", ["s", "first"], ["total"])
    constants = [constant("first", np.array([0]))]
    onnx.save(model([total, row], [info("input_ids", INT64, ["n", "t"])], [info("total", INT64, ["k"])], constants), path)
    program = engines.load(path)
    assert not program.joinable


def test_a_failed_run_is_one_line(engines: Engines, path: Path, store: Path) -> None:
    """The operator and its reason, without places in onnxruntime's sources; memory that runs out is told apart."""
    with pytest.raises(Internal, match=r"^onnxruntime: Gather.*: indices element out of data bounds, idx=99 [^\n]*$"):
        engines.load(store / "foreign.onnx").run([words([99], types=True)], alone=False)
    fill = helper.make_node("ConstantOfShape", ["size"], ["y"])
    onnx.save(model([fill], [info("size", INT64, [1])], [info("y", FLOAT, ["n"])]), path)
    program = engines.load(path)
    with pytest.raises(ResourceExhausted, match=r"^the run needs more memory than there is: [^/\n]*$") as caught:
        program.run([[from_values("int64", [1], [1 << 50])]], alone=False)
    assert caught.value.memory


def external(path: Path, location: str) -> None:
    """`foreign`, with its largest tensor in another file, which is written where that is possible."""
    made = foreign()
    weights = made.graph.initializer[0]
    data = weights.raw_data
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value=location)
    path.write_bytes(made.SerializeToString())
    beside = path.parent / location
    if location and ".." not in location and not location.startswith(("/", "*")):
        beside.parent.mkdir(exist_ok=True)
        beside.write_bytes(data)


@pytest.mark.parametrize("location", ["weights.bin", "data/weights.bin", "data//weights.bin", "./weights.bin"])
def test_external_data_beside_the_model(engines: Engines, path: Path, location: str) -> None:
    """It may be in a folder of the model's folder."""
    external(path, location)
    assert close(engines.load(path).run([words([3, 4])], alone=False).outputs[0][0], [3, 4])


@pytest.mark.parametrize("location", ["/etc/hostname", "../w.bin", "data/../../w.bin", "*/_ORT_MEM_ADDR_/*", ""])
def test_external_data_elsewhere_is_refused(engines: Engines, path: Path, location: str) -> None:
    """In one line that says where it may be."""
    external(path, location)
    with pytest.raises(InvalidArgument, match="a file of the model's own folder is expected"):
        engines.load(path)


def test_external_data_behind_a_link_that_leads_out_is_refused(engines: Engines, path: Path) -> None:
    """Also through a folder; one that leads back in is followed."""
    inside = path.parent / "inside"
    inside.mkdir()
    external(inside / "m.onnx", "weights.bin")
    (inside / "weights.bin").rename(path.parent / "secret.bin")
    (inside / "weights.bin").symlink_to(path.parent / "secret.bin")
    with pytest.raises(InvalidArgument, match=r"weights\.bin: a link leads out of the model's folder"):
        engines.load(inside / "m.onnx")
    (inside / "weights.bin").unlink()
    with pytest.raises(InvalidArgument, match=r"weights\.bin: there is no such file beside the model"):
        engines.load(inside / "m.onnx")
    (path.parent / "secret.bin").rename(inside / "real.bin")
    (inside / "weights.bin").symlink_to("real.bin")
    assert engines.load(inside / "m.onnx").joinable


def test_a_carried_signature_must_be_the_graphs(engines: Engines, path: Path) -> None:
    """A wrong name or type is told when it loads, not at each run."""
    for entry, says in (
        ('"name": "ids", "dtype": "int64"', r"has the input 'ids'; those of the graph are input_ids"),
        ('"name": "input_ids", "dtype": "int32"', r"input 'input_ids' is int32 .*; the graph has int64"),
    ):
        text = f'{{"format": 1, "name": "x", "problem_type": "regression", "inputs": [{{{entry}, "dims": ["n", "t"]}}], "outputs": []}}'
        made = foreign()
        helper.set_model_props(made, {"signature.json": text})
        onnx.save(made, path)
        with pytest.raises(InvalidArgument, match=says):
            engines.load(path)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "it has no ir_version"),
        (TWEETS.read_bytes()[:100_000], "not a model file"),
        (foreign().SerializeToString()[:-40], "ends at byte"),
    ],
)
def test_what_is_not_a_model_is_told_in_one_line(engines: Engines, path: Path, data: bytes, says: str) -> None:
    """Without the path, which is the agent's."""
    path.write_bytes(data)
    with pytest.raises(InvalidArgument, match=says) as caught:
        engines.load(path)
    assert str(path) not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_type_that_vaccel_lacks_is_told(engines: Engines, path: Path) -> None:
    """When it loads, with the types that there are."""
    cast = helper.make_node("Cast", ["x"], ["y"], to=TensorProto.STRING)
    onnx.save(model([cast], [info("x", FLOAT, ["n"])], [info("y", TensorProto.STRING, ["n"])]), path)
    with pytest.raises(InvalidArgument, match=r"output 'y' is tensor\(string\); vAccel has only uint8, "):
        engines.load(path)


def test_without_the_extra_a_file_says_what_installs_it(engines: Engines, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, and the other engines' files load."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert importlib.util.find_spec("onnxruntime") is None
    with pytest.raises(FailedPrecondition, match=r"needs onnxruntime.*pip install 'onnxruntime>=1.32'"):
        engines.load(store / "foreign.onnx")


_WITHOUT = """
import sys
sys.modules["onnxruntime"] = None
from agent.__main__ import main
main()
"""


def test_an_agent_without_the_extra_starts(store: Path, tmp_path: Path) -> None:
    """It serves other files; to preload an ONNX file is one line and exit code 1."""
    command = [sys.executable, "-c", _WITHOUT, "-a", f"unix://{tmp_path}/a.sock", "--models", str(store), "--preload", "foreign"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 1, done.stderr
    assert "ready" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("vaccel-rpc-agent: --preload: an ONNX file needs onnxruntime")
    assert "vAccel RPC agent started" in done.stderr + done.stdout


def test_onnxruntime_is_not_imported_before_a_file_needs_it() -> None:
    """An agent that serves other files pays neither its time nor its memory."""
    code = "import sys; from agent.engines.registry import Engines; Engines().open('cpu', 1); print('onnxruntime' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=100, check=True)
    assert done.stdout.strip() == "False"
