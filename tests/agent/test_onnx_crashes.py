"""What ends or confuses a process that runs onnxruntime is refused before, or told."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from agent.engines.contract import UPLOAD_MEMORY
from agent.engines.onnx import loading, uploads
from tests.support.onnxmodels import FLOAT, INT64, constant, foreign, info, model
from tests.support.paths import ROOT
from vaccel_rpc.errors import InvalidArgument
from vaccel_rpc.tensors import from_values


def _recurrent(path: Path) -> Path:
    """A classifier by a GRU, with one input of another name than those of BERT."""
    random = np.random.default_rng(0)
    weights = {"words": (50, 4), "w": (1, 12, 4), "r": (1, 12, 4), "head": (4, 3)}
    constants = [constant(name, random.normal(size=size).astype(np.float32)) for name, size in weights.items()]
    nodes = [
        helper.make_node("Gather", ["words", "tokens"], ["states"]),
        helper.make_node("Transpose", ["states"], ["turned"], perm=[1, 0, 2]),
        helper.make_node("GRU", ["turned", "w", "r"], ["", "last"], hidden_size=4),
        helper.make_node("Squeeze", ["last", "first"], ["read"]),
        helper.make_node("MatMul", ["read", "head"], ["logits"]),
    ]
    inputs, outputs = [info("tokens", INT64, ["batch", "seq"])], [info("logits", FLOAT, ["batch", 3])]
    onnx.save(model(nodes, inputs, outputs, [*constants, constant("first", np.array([0]))]), path)
    return path


@pytest.mark.parametrize("dims", [[1, 0], [0, 3], [0, 0]])
def test_a_loop_over_no_tokens_is_refused(tmp_path: Path, dims: list[int]) -> None:
    """Of a model in the store it would end the agent."""
    program = loading.load(_recurrent(tmp_path / "m.onnx"), 1)
    with pytest.raises(InvalidArgument, match=r"in_tensors\[0\] is int64 .*: the model does not run without elements"):
        program.run([[from_values("int64", dims, [])]], alone=False)
    assert program.run([[from_values("int64", [1, 2], [3, 4])]], alone=False).outputs[0][0].dims == (1, 3)


def test_other_models_run_without_elements(tmp_path: Path) -> None:
    """Those of the store and those of clients."""
    node = helper.make_node("Neg", ["x"], ["y"])
    onnx.save(model([node], [info("x", FLOAT, ["n"])], [info("y", FLOAT, ["n"])]), tmp_path / "m.onnx")
    empty = [from_values("float32", [0], [])]
    for memory in (UPLOAD_MEMORY, None):
        assert loading.load(tmp_path / "m.onnx", 1, memory).run([empty], alone=False).outputs[0][0].dims == (0,)


def test_a_trial_that_fails_is_not_said_to_lack_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has what it wrote."""
    (tmp_path / "onnxruntime").mkdir()
    (tmp_path / "onnxruntime" / "__init__.py").write_text("raise KeyError('tea')")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (tmp_path / "upload").write_bytes(foreign().SerializeToString())
    with (
        caplog.at_level(logging.ERROR),
        pytest.raises(InvalidArgument, match="it cannot be tried; the agent's log has the reason"),
    ):
        uploads.check_upload(tmp_path / "upload", (), UPLOAD_MEMORY)
    assert "KeyError: 'tea'" in caplog.text


def test_what_runs_left_of_the_memory_of_uploads_is_not_lost(tmp_path: Path) -> None:
    """Each run has room for what fits the limit, whatever sizes the runs before had."""
    nodes = [helper.make_node("ConstantOfShape", ["size"], ["c"]), helper.make_node("ReduceMax", ["c"], ["y"], keepdims=0)]
    onnx.save(model(nodes, [info("size", INT64, [1])], [info("y", FLOAT, [])]), tmp_path / "m.onnx")
    # The limit is that of a process: the first model with one sets it.
    code = (
        "import sys; from pathlib import Path; from agent.engines.onnx import loading; from vaccel_rpc.tensors import from_values;"
        "program = loading.load(Path(sys.argv[1]), 1, 64 << 20);"
        "[program.run([[from_values('int64', [1], [mib << 18])]], alone=False) for mib in (20, 24, 50)]; print('ran')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "m.onnx")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "ran", done.stderr[-500:]


def test_an_error_of_the_library_names_no_place_of_the_agents(tmp_path: Path) -> None:
    """Here for external data in a branch, which is not read from where the model is."""
    branch = helper.make_graph(
        [helper.make_node("Identity", ["q"], ["z"])],
        "branch",
        [],
        [info("z", FLOAT, [300])],
        [constant("q", np.ones(300, np.float32))],
    )
    weights = branch.initializer[0]
    weights.ClearField("raw_data")
    weights.data_location = onnx.TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="w.bin")
    (tmp_path / "held").write_bytes(np.ones(300, np.float32).tobytes())
    (tmp_path / "w.bin").symlink_to(tmp_path / "held")
    node = helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)
    onnx.save(model([node], [info("x", onnx.TensorProto.BOOL, [])], [info("y", FLOAT, [300])]), tmp_path / "m.onnx")
    with pytest.raises(InvalidArgument) as caught:
        loading.load(tmp_path / "m.onnx", 1)
    assert str(tmp_path) not in str(caught.value)


def test_a_graph_without_outputs_is_refused(tmp_path: Path) -> None:
    node = helper.make_node("Neg", ["x"], ["y"])
    onnx.save(model([node], [info("x", FLOAT, ["n"])], []), tmp_path / "m.onnx")
    with pytest.raises(InvalidArgument, match="the graph has no outputs"):
        loading.load(tmp_path / "m.onnx", 1)
