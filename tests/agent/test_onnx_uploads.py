"""ONNX files that clients send: what is data runs, what is hostile is refused or fails alone."""

from __future__ import annotations

import io
import pickle
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from agent.engines.arrays import to_array
from agent.engines.contract import UPLOAD_MEMORY
from agent.engines.onnx import loading, operators, trial, uploads
from agent.engines.onnx.graph import MAX_DEPTH, MAX_NODES, survey
from tests.support.clients import client
from tests.support.onnxmodels import FLOAT, INT64, constant, expected, external, foreign, info, model, save_tweets
from tests.support.paths import ROOT, TWEETS
from tests.support.servers import SpawnAgent
from tests.support.torchmodels import Copies, save
from vaccel_common import process
from vaccel_rpc.errors import InvalidArgument, PermissionDenied, ResourceExhausted
from vaccel_rpc.tensors import from_values

X, Y = info("x", FLOAT, ["n"]), info("y", FLOAT, ["m"])


def adds(dims: Sequence[int], raw_data: bytes) -> onnx.ModelProto:
    """x + a tensor."""
    weights = TensorProto(name="w", data_type=FLOAT, dims=dims, raw_data=raw_data)
    return model([helper.make_node("Add", ["x", "w"], ["y"])], [X], [Y], [weights])


def loop() -> onnx.ModelProto:
    """2^62 rounds."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["d"]), helper.make_node("Identity", ["s"], ["t"])],
        "body",
        [info("i", INT64, []), info("c", TensorProto.BOOL, []), info("s", FLOAT, ["n"])],
        [info("d", TensorProto.BOOL, []), info("t", FLOAT, ["n"])],
    )
    node = helper.make_node("Loop", ["rounds", "", "x"], ["y"], body=body)
    return model([node], [X], [Y], [constant("rounds", np.array(1 << 62))])


def many_nodes() -> bytes:
    """A small file of a million empty nodes: two bytes each."""
    graph = b"\x0a\x00" * 1_000_000
    rest = model([], [X], [Y]).SerializeToString()
    return rest + b"\x3a" + b"\x80\x89\x7a" + graph


def nested() -> onnx.ModelProto:
    within = onnx.GraphProto()
    for _ in range(MAX_DEPTH + 1):
        node = helper.make_node("If", ["c"], ["y"], then_branch=within, else_branch=onnx.GraphProto())
        within = onnx.GraphProto(node=[node])
    return model(list(within.node), [X], [Y])


def filled(*sizes: int) -> onnx.ModelProto:
    """A constant of these dimensions, which is made when the model loads."""
    node = helper.make_node("ConstantOfShape", ["sizes"], ["c"])
    total = helper.make_node("ReduceSum", ["c"], ["s"], keepdims=0)
    return model([node, total, helper.make_node("Add", ["x", "s"], ["y"])], [X], [Y], [constant("sizes", np.array(sizes))])


def endless() -> onnx.ModelProto:
    """Products of large matrices, which depend on the input and take minutes, in little memory."""
    square = constant("square", np.array([2000, 2000]))
    nodes = [helper.make_node("ReduceSum", ["x"], ["s"], keepdims=0), helper.make_node("Expand", ["s", "square"], ["p0"])]
    nodes += [helper.make_node("MatMul", [f"p{i}", f"p{i}"], [f"p{i + 1}"]) for i in range(2000)]
    nodes.append(helper.make_node("ReduceSum", ["p2000"], ["y"]))
    return model(nodes, [X], [info("y", FLOAT, [1, 1])], [square])


def functions() -> onnx.ModelProto:
    function = helper.make_function(
        "ours", "F", ["a"], ["b"], [helper.make_node("Neg", ["a"], ["b"])], [helper.make_opsetid("", 21)]
    )
    made = model([helper.make_node("F", ["x"], ["y"], domain="ours")], [X], [Y], functions=[function])
    made.opset_import.append(helper.make_opsetid("ours", 1))
    return made


def custom() -> onnx.ModelProto:
    made = model([helper.make_node("Shell", ["x"], ["y"], domain="evil", command="true")], [X], [Y])
    made.opset_import.append(helper.make_opsetid("evil", 1))
    return made


def cyclic() -> onnx.ModelProto:
    nodes = [helper.make_node("Add", ["x", "b"], ["y"]), helper.make_node("Neg", ["y"], ["b"])]
    return model(nodes, [X], [Y])


class Evil:
    """Its pickle would run a command."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return exec, ("raise SystemExit(3)",)


def archive() -> bytes:
    """A .pt2 with a pickle, which a client may call NAME.onnx."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as made:
        made.writestr("x/archive_format", "pt2")
        made.writestr("x/data/weights/weights.pt", pickle.dumps(Evil()))
    return data.getvalue()


#: Files that can be no good, and what their senders read.
HOSTILE: dict[str, tuple[onnx.ModelProto | bytes, str]] = {
    "external data outside": (external("/etc/passwd"), "external data"),
    "external data beside": (external("w.bin"), "external data"),
    "an address in memory": (external("*/_ORT_MEM_ADDR_/*"), "external data"),
    "huge dims": (adds([1 << 40], b"\0" * 16), "declares a size of 4398046511104 bytes"),
    "dims that overflow": (adds([1 << 62, 1 << 62], b"\0" * 16), "Integer overflow"),
    "negative dims": (adds([-4], b"\0" * 16), "Out of bounds dimensions"),
    "too few numbers": (adds([4], b"\0" * 8), "'w'|size"),
    "a loop": (loop(), "the operator 'Loop'"),
    "an operator of another library": (custom(), r"the operator 'evil\.Shell'"),
    "an operator that is not known": (model([helper.make_node("Nope", ["x"], ["y"])], [X], [Y]), "the operator 'Nope'"),
    "functions": (functions(), "functions"),
    "a cycle": (cyclic(), "not acyclic"),
    "graphs in graphs": (nested(), "nested more than 16 deep"),
    "a million nodes": (many_nodes(), "more than 100000 nodes"),
    "half a file": (foreign().SerializeToString()[:-60], "ends at byte"),
    "memory": (filled(1 << 33), r"memory"),
}


def write(path: Path, made: onnx.ModelProto | bytes) -> Path:
    path.write_bytes(made if isinstance(made, bytes) else made.SerializeToString())
    return path


def _try(path: Path) -> None:
    uploads.check_upload(path, (), UPLOAD_MEMORY)


@pytest.mark.parametrize("name", [name for name in HOSTILE if name != "half a file"])
def test_a_hostile_file_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    """By what is in it, or by what it does in the process that tries it; with the reason and without a path."""
    made, says = HOSTILE[name]
    with pytest.raises(InvalidArgument, match=says) as caught:
        _try(write(tmp_path / "upload", made))
    message = str(caught.value)
    assert message.startswith("the ONNX file is refused: ")
    assert "\n" not in message
    assert str(tmp_path) not in message


@pytest.fixture(params=[False, True], ids=["child", "as-process-1"])
def _reaps(request: pytest.FixtureRequest) -> Iterator[None]:
    """This process also reaps each child as soon as it ends, as process 1 of a container does."""
    before = signal.getsignal(signal.SIGCHLD)
    if request.param:
        signal.signal(signal.SIGCHLD, lambda *_: process.reap_children())
    yield
    signal.signal(signal.SIGCHLD, before)


@pytest.mark.usefixtures("_reaps")
def test_what_crashes_the_trial_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault in the library ends the trial's process alone."""
    folder = tmp_path / "onnxruntime"
    folder.mkdir()
    (folder / "__init__.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.raises(InvalidArgument, match=r"it crashes the program that loads it \(SIGSEGV\)"):
        _try(write(tmp_path / "upload", foreign()))


def test_the_limits_of_the_process() -> None:
    """Memory by the file's size, CPU time, no file of its own; they are set before the file is read."""
    code = (
        "import resource as r; from agent.engines.onnx.trial import _limit; _limit(100 << 20, 300 << 20);"
        "print(r.getrlimit(r.RLIMIT_AS)[0] >> 20, r.getrlimit(r.RLIMIT_CPU)[1], r.getrlimit(r.RLIMIT_FSIZE)[1])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["700", str(trial.cpu_seconds(100 << 20)), "0"]


def test_a_trial_makes_no_other_forms_of_a_model(tmp_path: Path) -> None:
    """An upload runs as it was sent: what makes the store's models quicker would take most of a trial's time."""
    code = "import sys; from agent.engines.onnx.trial import main; main(); print('onnx' in sys.modules)"
    command = [sys.executable, "-c", code, str(UPLOAD_MEMORY), str(write(tmp_path / "upload", foreign()))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["accepted", "False"]


def test_operators_that_uploads_may_have() -> None:
    """Those of exporters and of onnxruntime's optimizer; of other domains none, whatever the name."""
    assert operators.refused({("", "MatMul"), ("ai.onnx", "Softmax"), ("com.microsoft", "QAttention")}) is None
    for operator in (("", "If"), ("", "Scan"), ("ai.onnx", "Loop"), ("", "RandomNormal"), ("ours", "MatMul"), ("", "QAttention")):
        assert operators.refused({("", "Add"), operator}) == ".".join(filter(None, operator))


@pytest.mark.parametrize("nodes", [MAX_NODES, MAX_NODES + 1])
def test_the_number_of_nodes_at_its_edge(nodes: int, tmp_path: Path) -> None:
    """The last that is surveyed, and the first that is refused."""
    graph = onnx.GraphProto(node=[onnx.NodeProto(op_type="Neg")] * nodes)
    path = write(tmp_path / "upload", model(list(graph.node), [X], [Y]))
    if nodes == MAX_NODES:
        assert survey(path).nodes == nodes
    else:
        with pytest.raises(InvalidArgument, match="more than 100000 nodes"):
            _try(path)


def test_tensors_of_an_upload_have_a_limit(tmp_path: Path) -> None:
    """Memory that a request's numbers ask for."""
    nodes = [helper.make_node("ConstantOfShape", ["size"], ["c"]), helper.make_node("Shape", ["c"], ["y"])]
    fill = model(nodes, [info("size", INT64, [1])], [info("y", INT64, [1])])
    program = loading.load(write(tmp_path / "fill", fill), 1, UPLOAD_MEMORY)
    size = UPLOAD_MEMORY // 4
    with pytest.raises(ResourceExhausted, match="needs more memory") as caught:
        program.run([[from_values("int64", [1], [size + 1024])]], alone=False)
    assert caught.value.memory
    assert to_array(program.run([[from_values("int64", [1], [size // 16])]], alone=False).outputs[0][0]).tolist() == [size // 16]


@pytest.fixture(scope="module")
def tweets(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("tweets") / "tweets.onnx"
    save_tweets(path)
    return path.read_bytes()


def test_data_takes_onnx_and_no_programs(spawn_agent: SpawnAgent, tweets: bytes, tmp_path: Path) -> None:
    """The model that ships as ONNX is sent and run; as TorchScript it is refused, by a line that names the option."""
    agent = spawn_agent("--uploads", "data")
    calls = client(agent)
    session = calls.create_session()
    words = [from_values("int64", [1, 5], [101, 2154, 2003, 3835, 102]), from_values("int64", [1, 5], [1] * 5)]
    (logits,) = calls.run(session, calls.register_bytes(session, tweets), words, 1)
    assert logits.dims == (1, 3)
    assert calls.register_bytes(session, TWEETS.read_bytes())  # of the checkout's store
    save(Copies(), tmp_path / "copies.pt")
    for data in ((tmp_path / "copies.pt").read_bytes(), archive(), b"garbage", pickle.dumps(Evil())):
        with pytest.raises(PermissionDenied, match=r"not an ONNX file.*--uploads data"):
            calls.register_bytes(session, data, "model.onnx")


@pytest.mark.parametrize("policy", ["known", "deny"])
def test_other_policies_take_no_onnx(spawn_agent: SpawnAgent, policy: str) -> None:
    """As they take no other bytes."""
    agent = spawn_agent("--uploads", policy)
    calls = client(agent)
    with pytest.raises(PermissionDenied, match=f"--uploads {policy}"):
        calls.register_bytes(calls.create_session(), foreign().SerializeToString())


@pytest.mark.parametrize("policy", ["data", "allow"])
def test_the_agent_answers_others_while_hostile_files_arrive(spawn_agent: SpawnAgent, policy: str) -> None:
    """Every one is refused, its sender's session goes on, and another client's runs are right all the time."""
    agent = spawn_agent("--uploads", policy)
    calls, others = client(agent), client(agent)
    own, session = calls.create_session(), others.create_session()
    resource = others.register_bytes(session, foreign().SerializeToString())
    ending, wrong, count = threading.Event(), list[str](), [0]

    def work() -> None:
        text = [from_values("int64", [1, 2], [3, 4]), from_values("int64", [1, 2], [1, 1])]
        while not ending.is_set():
            (logits,) = others.run(session, resource, text, 1)
            if not np.allclose(to_array(logits), expected(3, 4), atol=1e-5):
                wrong.append(str(to_array(logits)))
            count[0] += 1
            ending.wait(0.02)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for name, (made, _) in HOSTILE.items():
            data = made if isinstance(made, bytes) else made.SerializeToString()
            with pytest.raises((InvalidArgument, PermissionDenied)):
                calls.register_bytes(own, data, f"{name}.onnx", timeout=60)
    finally:
        ending.set()
        thread.join()
    assert not wrong
    assert count[0] > 20
    assert agent.process.poll() is None
    assert "Traceback" not in agent.text
