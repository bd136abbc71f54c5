"""Which operators compute a row from that row alone: only these run on one row, or on tokens without padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from agent.engines.layout import Layout
from agent.engines.onnx.reduced import reduced
from tests.support.onnxmodels import FLOAT, INT64, Array, check_same, constant, info, model
from vaccel_common.modelfile import Signature, TensorSpec

Node = onnx.NodeProto

_RANDOM = np.random.default_rng(4)


def _weight(*dims: int) -> Array:
    return _RANDOM.normal(size=dims).astype(np.float32)


_W = {
    "w": _weight(8, 8), "b": _weight(8), "one": np.float32(0.5), "zero": np.uint8(128), "scales": _weight(8) ** 2, "zeros8": np.zeros(8, np.uint8),
    "w8": _RANDOM.integers(-60, 60, (8, 8)).astype(np.int8), "heads": np.array([0, 0, 2, 4]), "merged": np.array([0, 0, 8]),
    "flat": np.array([-1, 8]), "back": np.array([3, -1, 8]), "last": np.array([2]), "middle": np.array([1]), "from": np.array([0]),
    "to": np.array([4]), "halves": np.array([4, 4]), "turned": np.array([0, 8, -1]),
}  # fmt: skip


def _node(operator: str, *inputs: str, out: str = "y", domain: str = "", **attributes: Any) -> Node:
    return helper.make_node(operator, list(inputs), out.split(), domain=domain, **attributes)


def _between(*nodes: Node) -> list[Node]:
    """States x [n, t, 8] from a product, the nodes, and y [n, t, 8]."""
    return [_node("MatMul", "states", "w", out="x"), *nodes]


#: Operators that compute each row from that row alone, between a product and what reads one row.
KEPT: dict[str, list[Node]] = {
    "entries": [_node("Add", "x", "b", out="a"), _node("Tanh", "a", out="c"), _node("Mul", "c", "states")],
    "of each text": [_node("ReduceMean", "states", "middle", out="a", keepdims=1), _node("Add", "x", "a")],
    "of each token": [_node("ReduceMax", "x", "last", out="a", keepdims=1), _node("Sub", "x", "a")],
    "norm": [_node("LayerNormalization", "x", "b", "b")],
    "softmax": [_node("Softmax", "x", axis=-1)],
    "fused bias": [_node("BiasGelu", "x", "b", domain="com.microsoft")],
    "int8": [
        _node("QuantizeLinear", "x", "one", "zero", out="a"),
        _node("MatMulIntegerToFloat", "a", "w8", "one", "scales", "zero", "", "b", domain="com.microsoft"),
    ],
    "heads": [
        _node("Reshape", "x", "heads", out="a"),
        _node("Transpose", "a", out="c", perm=[0, 2, 1, 3]),
        _node("Relu", "c", out="d"),
        _node("Transpose", "d", out="e", perm=[0, 2, 1, 3]),
        _node("Reshape", "e", "merged"),
    ],
    "attention": [
        _node("MatMul", "states", "w", out="k"),
        _node("Transpose", "k", out="kt", perm=[0, 2, 1]),
        _node("MatMul", "x", "kt", out="a"),
        _node("Softmax", "a", out="c", axis=-1),
        _node("MatMul", "c", "states"),
    ],
    "attention by onnxruntime": [_node("MultiHeadAttention", "x", "states", "states", domain="com.microsoft", num_heads=2)],
    "parts": [_node("Split", "x", "halves", out="a c", axis=-1), _node("Neg", "c", out="d"), _node("Concat", "d", "a", axis=-1)],
    "a slice of each": [_node("Slice", "x", "from", "to", "last", out="a"), _node("Concat", "a", "a", axis=2)],
    "a dimension more": [_node("Unsqueeze", "x", "middle", out="a"), _node("Exp", "a", out="c"), _node("Squeeze", "c", "middle")],
    "sizes of states": [_node("Shape", "x", out="sizes"), _node("Expand", "one", "sizes", out="a"), _node("Add", "x", "a")],
    "rows by their places": [
        _node("Sign", "x", out="a"),
        _node("Cast", "a", out="c", to=INT64),
        _node("GatherElements", "x", "c", out="d", axis=2),
        _node("Add", "x", "d"),
    ],
}  # fmt: skip
#: Operators that need other rows for one.
OTHERS: dict[str, list[Node]] = {
    "softmax over tokens": [_node("Softmax", "x", axis=1)],
    "mean of tokens": [_node("ReduceMean", "x", "middle", keepdims=1)],
    "range of all": [
        _node("DynamicQuantizeLinear", "x", out="a s z"),
        _node("MatMulInteger", "a", "w8", "z", out="c"),
        _node("Cast", "c", out="d", to=FLOAT),
        _node("Mul", "d", "s"),
    ],
    "tokens turned": [_node("Reshape", "x", "turned", out="a"), _node("Transpose", "a", perm=[0, 2, 1])],
    "flattened": [_node("Reshape", "x", "flat", out="a"), _node("Reshape", "a", "back")],
    "sums so far": [_node("CumSum", "x", "middle")],
    "keys by onnxruntime": [_node("MultiHeadAttention", "states", "x", "x", domain="com.microsoft", num_heads=2)],
}  # fmt: skip


def _picking(nodes: Sequence[Node], place: int) -> onnx.ModelProto:
    """The nodes with a product before, and one row read after."""
    constants = [constant(name, np.asarray(value)) for name, value in _W.items()]
    constants.append(constant("place", np.array(place)))
    used = {name for node in nodes for name in node.input} | {"w", "place"}
    pick = _node("Gather", "y", "place", out="z", axis=1)
    return model(
        [*_between(*nodes), pick],
        [info("states", FLOAT, ["n", "t", 8])],
        [info("z", FLOAT, ["n", None])],
        [tensor for tensor in constants if tensor.name in used],
    )


@pytest.mark.parametrize("place", [0, -1])
@pytest.mark.parametrize("kind", [*KEPT, *OTHERS])
def test_only_what_is_computed_row_by_row_is_reduced(tmp_path: Path, kind: str, place: int) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(_picking({**KEPT, **OTHERS}[kind], place), path)
    forms = reduced(path, Layout(_signature()))
    assert len(forms) == (kind in KEPT)
    feeds: list[dict[str, Array]] = [{"states": _weight(3, length, 8)} for length in (1, 2, 7, 13)]
    for form in forms:
        check_same(path, form.batched, feeds)


def _signature() -> Signature:
    states, row = TensorSpec("states", "float32", ("n", "t", 8)), TensorSpec("z", "float32", ("n", 8))
    return Signature("m", "single_label_classification", None, (states,), (row,), "n", "t")


def test_a_token_in_the_middle_is_no_row_that_is_cut(tmp_path: Path) -> None:
    """Only the first and the last token lie where they lie in what has size 1."""
    path = tmp_path / "m.onnx"
    onnx.save(_picking(KEPT["norm"], 2), path)
    assert reduced(path, Layout(_signature())) == []


def _summed(nodes: Sequence[Node]) -> onnx.ModelProto:
    """The nodes with a product before, and the sum of the tokens after."""
    whole = _picking(nodes, 0)
    del whole.graph.node[-1]
    whole.graph.node.extend(
        [
            _node("Cast", "attention_mask", out="ones", to=FLOAT),
            _node("Unsqueeze", "ones", "last", out="weights"),
            _node("Mul", "y", "weights", out="weighed"),
            _node("ReduceSum", "weighed", "middle", out="z", keepdims=0),
        ]
    )
    names = {tensor.name for tensor in whole.graph.initializer}
    whole.graph.initializer.extend(constant(name, np.asarray(_W[name])) for name in ("last", "middle") if name not in names)
    whole.graph.input.append(info("attention_mask", INT64, ["n", "t"]))
    return whole


@pytest.mark.parametrize("kind", [kind for kind in KEPT if "attention" not in kind and kind != "of each text"])
def test_what_is_computed_token_by_token_needs_no_padding(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(_summed(KEPT[kind]), path)
    mask = TensorSpec("attention_mask", "int64", ("n", "t"))
    signature = replace(_signature(), inputs=(*_signature().inputs, mask))
    [form] = reduced(path, Layout(signature))
    assert form.tokens == sum("MatMul" in node.op_type for node in KEPT[kind]) + 1
    feeds: list[dict[str, Array]] = []
    for length in (1, 2, 7, 13):
        masks = np.ones((3, length), np.int64)
        masks[1, (length + 1) // 2 :] = masks[2, 1:] = 0
        feeds.append({"states": _weight(3, length, 8), "attention_mask": masks})
    check_same(path, form.batched, feeds)
