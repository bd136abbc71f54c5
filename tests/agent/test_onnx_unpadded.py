"""Padding is not computed where tokens are computed one by one, and answers stay the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from agent.engines.contract import Program
from agent.engines.layout import Layout
from agent.engines.onnx import loading
from agent.engines.onnx.reduced import reduced
from tests.support.onnxmodels import FLOAT, INT64, Array, check_same, constant, info, model
from tests.support.twolayers import (
    LABEL,
    OF_BATCH,
    OF_TOKENS,
    STATES,
    TURNED,
    Pool,
    Second,
    first,
    forms_of,
    last,
    mean,
    mean_of_all,
    rows_of_products,
    save,
    texts,
)
from vaccel_common.modelfile import Signature, TensorSpec
from vaccel_rpc.tensors import Tensor


def _masked(*rows: str) -> Array:
    """A mask, a row of 0 and 1 for each text."""
    return np.array([[int(digit) for digit in row] for row in rows])


def _inputs(mask: Array) -> dict[str, Array]:
    return {"input_ids": 1 + np.arange(mask.size).reshape(mask.shape) % 59, "attention_mask": mask}


@pytest.mark.parametrize("opset", [11, 17])
@pytest.mark.parametrize("pool", [first, mean])
def test_tokens_alone_are_computed(tmp_path: Path, pool: Pool, opset: int) -> None:
    path = save(tmp_path / "m.onnx", pool, opset=opset)
    form = forms_of(path)[0]
    assert form.tokens == (2 * OF_TOKENS if pool is mean else OF_TOKENS + 2)
    check_same(path, form.batched, texts())
    mask = _masked("1111111", "1110000", "1000000")
    assert rows_of_products(path, form.batched, mask).count(mask.sum()) == form.tokens


@pytest.mark.parametrize(
    "mask",
    [
        _masked("1101", "1111"),
        _masked("0111", "1110"),
        # Of a text without tokens all positions count, as in the model itself, and other texts' do not.
        _masked("0000", "1110"),
        _masked("1110", "0000"),
        _masked("0000"),
        _masked("2003", "1100"),
    ],
)
@pytest.mark.parametrize("pool", [first, mean])
def test_any_mask_means_what_it_means_to_the_model(tmp_path: Path, pool: Pool, mask: Array) -> None:
    path = save(tmp_path / "m.onnx", pool)
    check_same(path, forms_of(path)[0].batched, [_inputs(mask)])


def test_a_text_whose_tokens_are_apart_is_computed_whole(tmp_path: Path) -> None:
    """Padding before a token may be read by it: within a window of local attention there may be nothing else."""
    path = save(tmp_path / "m.onnx", mean)
    form = forms_of(path)[0]
    for row, tokens in {"1110": 3, "1000": 1, "0111": 4, "1011": 4, "0000": 4, "0100": 4}.items():
        assert rows_of_products(path, form.batched, _masked("1100", row)).count(2 + tokens) == form.tokens


def test_a_text_is_not_touched_by_others(tmp_path: Path) -> None:
    """Another text in the batch, and padding for it, change an answer by no more than rounding."""
    path = save(tmp_path / "m.onnx", first)
    program = loading.load(path, 1)
    assert not program.cost.pads
    layout = program.layout
    assert layout is not None
    short, others = layout.example(5), [layout.example(length) for length in (1, 30, 12)]
    alone, *_ = _logits(program, [short])
    for batch in ([short, *others], [short, *others[::-1]]):
        np.testing.assert_allclose(_logits(program, batch)[0], alone, atol=1e-5)


def test_weights_stay_in_their_file(tmp_path: Path) -> None:
    """A form has the graph alone, so that two of them and the file do not hold the weights three times."""
    path = save(tmp_path / "m.onnx", first)
    graphs = [graph for form in forms_of(path) for graph in (form.batched, form.alone) if graph]
    assert graphs
    for graph in graphs:
        weights = onnx.load_model_from_string(graph).graph.initializer
        large = [tensor for tensor in weights if tensor.data_location == onnx.TensorProto.EXTERNAL]
        assert {entry.value for tensor in large for entry in tensor.external_data if entry.key == "location"} == {"m.onnx"}
        assert sum(len(tensor.raw_data) for tensor in weights) < path.stat().st_size / 4


def test_weights_in_another_file_stay_there(tmp_path: Path) -> None:
    path, whole = tmp_path / "apart.onnx", onnx.load(save(tmp_path / "m.onnx", first))
    onnx.save(whole, path, save_as_external_data=True, location="weights.data", size_threshold=512)
    apart, together = loading.load(path, 2), loading.load(tmp_path / "m.onnx", 2)
    assert not apart.cost.pads
    assert together.layout is not None
    request = together.layout.example(9, 2)
    for alone in (True, False):
        answers = [program.run([request], alone=alone).outputs[0][0] for program in (apart, together)]
        assert answers[0] == answers[1]


def test_weights_that_state_where_they_are(tmp_path: Path) -> None:
    """onnx leaves the place of weights that it took in from another file: it says that they are in this one."""
    path = save(tmp_path / "m.onnx", first)
    taken_in = onnx.load(path)
    for tensor in taken_in.graph.initializer:
        tensor.data_location = onnx.TensorProto.DEFAULT
    onnx.save(taken_in, path)
    assert not loading.load(path, 1).cost.pads


def _logits(program: Program, requests: list[list[Tensor]]) -> list[Array]:
    outputs = program.run(requests, alone=False).outputs
    return [np.frombuffer(tensors[0].data, np.float32) for tensors in outputs]


@pytest.mark.parametrize("pool", [last, mean_of_all])
def test_what_reads_padding_is_computed_with_it(tmp_path: Path, pool: Pool, caplog: pytest.LogCaptureFixture) -> None:
    program = loading.load(save(tmp_path / "tea.onnx", pool), 1)
    assert "A form of tea that computes less is left out: its answers differ by" in caplog.text
    assert not program.joinable
    assert program.cost.pads


@pytest.mark.parametrize(("most", "joinable"), [(1, True), (2, False), (7, False), (8, False)])
def test_padding_is_tried_whatever_the_longest_input(tmp_path: Path, most: int, joinable: bool) -> None:
    """A model that reads the last position is found out, unless it takes one token at most."""
    path = save(tmp_path / "m.onnx", last)
    inputs = [{"name": name, "dtype": "int64", "dims": ["n", "t"]} for name in ("input_ids", "attention_mask")]
    signature = {
        "format": 1, "name": "m", "problem_type": "single_label_classification", "max_length": most, "inputs": inputs,
        "outputs": [{"name": "logits", "dtype": "float32", "dims": ["n", 3]}], "batch": "n", "length": "t",
    }  # fmt: skip
    whole = onnx.load(path)
    helper.set_model_props(whole, {"signature.json": json.dumps(signature)})
    onnx.save(whole, path)
    assert loading.load(path, 1).joinable is joinable


@pytest.mark.parametrize("second", [STATES, TURNED, OF_BATCH, LABEL], ids=["states", "turned", "of-batch", "label"])
@pytest.mark.parametrize("pool", [mean, mean_of_all])
def test_outputs_by_which_padding_cannot_be_judged_are_computed_with_it(tmp_path: Path, pool: Pool, second: Second) -> None:
    """Those of each token, those of the whole batch, for which requests are not joined, and whole numbers, equal by chance."""
    assert not any(form.tokens for form in forms_of(save(tmp_path / "m.onnx", pool, second)))


def test_what_a_graph_in_an_operator_uses_is_computed_whole(tmp_path: Path) -> None:
    """Here a branch of If, which has the names of the graph around it."""
    branch = helper.make_graph([helper.make_node("Identity", ["x"], ["kept"])], "branch", [], [info("kept", FLOAT, None)])
    nodes = [
        helper.make_node("MatMul", ["states", "w"], ["x"]),
        helper.make_node("If", ["true"], ["y"], then_branch=branch, else_branch=branch),
        helper.make_node("Cast", ["attention_mask"], ["ones"], to=FLOAT),
        helper.make_node("Unsqueeze", ["ones", "last"], ["weights"]),
        helper.make_node("Mul", ["y", "weights"], ["weighed"]),
        helper.make_node("ReduceSum", ["weighed", "middle"], ["z"], keepdims=0),
    ]
    states, mask = info("states", FLOAT, ["n", "t", 4]), info("attention_mask", INT64, ["n", "t"])
    constants = {"w": np.eye(4, dtype=np.float32), "true": np.array(True), "last": np.array([2]), "middle": np.array([1])}
    path = tmp_path / "m.onnx"
    onnx.save(model(nodes, [states, mask], [info("z", FLOAT, ["n", 4])], [constant(*item) for item in constants.items()]), path)
    signature = Signature(
        "m", "single_label_classification", None,
        (TensorSpec("states", "float32", ("n", "t", 4)), TensorSpec("attention_mask", "int64", ("n", "t"))),
        (TensorSpec("z", "float32", ("n", 4)),), "n", "t",
    )  # fmt: skip
    assert reduced(path, Layout(signature)) == []
