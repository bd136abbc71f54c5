"""Small ONNX models of others' layouts, and the model that ships as ONNX."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper

from tests.support.paths import TWEETS
from vaccel_common.modelfile import read_extras

Array = npt.NDArray[Any]

FLOAT, HALF, INT64 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT64
#: Words, width and labels of `foreign`.
_WORDS, _WIDTH, _LABELS = 50, 4, 3
_RANDOM = np.random.default_rng(5)
_EMBEDDING = _RANDOM.normal(size=(_WORDS, _WIDTH)).astype(np.float32)
_HEAD = _RANDOM.normal(size=(_WIDTH, _LABELS)).astype(np.float32)


def info(name: str, dtype: int, dims: Sequence[int | str | None] | None) -> onnx.ValueInfoProto:
    """An input or output."""
    return helper.make_tensor_value_info(name, dtype, dims)


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    constants: Sequence[onnx.TensorProto] = (),
    **more: Any,
) -> onnx.ModelProto:
    """A model of a version that onnxruntime reads."""
    graph = helper.make_graph(nodes, "graph", inputs, outputs, list(constants))
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10, **more)


def constant(name: str, array: npt.NDArray[Any]) -> onnx.TensorProto:
    """An initializer."""
    return onnx.numpy_helper.from_array(array, name)


def foreign(*, masked: bool = True, types: bool = False, half: bool = False) -> onnx.ModelProto:
    """Optimum's layout: the mean of the words' vectors, times a matrix. Nothing of ours is in it.

    ``masked``: padding is left out of the mean. ``types``: has ``token_type_ids``, without effect. ``half``: its output is float16.
    """
    axes = ["batch_size", "sequence_length"]
    names = ["input_ids", "attention_mask", *(["token_type_ids"] if types else [])]
    weights = "weights" if masked else "ones"
    nodes = [
        helper.make_node("Gather", ["embedding", "input_ids"], ["vectors"]),
        helper.make_node("Cast", ["attention_mask"], ["weights"], to=FLOAT),
        helper.make_node("Sub", ["weights", "weights"], ["zeros"]),
        helper.make_node("Exp", ["zeros"], ["ones"]),
        helper.make_node("Unsqueeze", [weights, "last"], ["column"]),
        helper.make_node("Mul", ["vectors", "column"], ["weighed"]),
        helper.make_node("ReduceSum", ["weighed", "middle"], ["sum"], keepdims=0),
        helper.make_node("ReduceSum", [weights, "middle"], ["count"], keepdims=1),
        helper.make_node("Div", ["sum", "count"], ["mean"]),
        helper.make_node("MatMul", ["mean", "head"], ["scores"]),
        helper.make_node("Cast", ["scores"], ["logits"], to=HALF if half else FLOAT),
    ]
    constants = [
        constant("embedding", _EMBEDDING),
        constant("head", _HEAD),
        constant("last", np.array([2])),
        constant("middle", np.array([1])),
    ]
    outputs = [info("logits", HALF if half else FLOAT, ["batch_size", _LABELS])]
    return model(nodes, [info(name, INT64, axes) for name in names], outputs, constants)


def expected(*words: int) -> npt.NDArray[Any]:
    """The logits of `foreign` for one text."""
    logits: npt.NDArray[Any] = _EMBEDDING[list(words)].mean(0) @ _HEAD
    return logits


def answers(path: Path, feeds: Sequence[dict[str, Array]]) -> list[list[Array]]:
    """The outputs of a file for each of several inputs."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return [session.run(None, own) for own in feeds]


def beside(path: Path, graph: bytes) -> Path:
    """A file with a graph whose weights are in ``path``."""
    other = path.with_suffix(".form.onnx")
    other.write_bytes(graph)
    return other


def check_same(path: Path, graph: bytes, feeds: Sequence[dict[str, Array]]) -> None:
    """Fails unless the file and a graph of it give the same answers."""
    for before, after in zip(answers(path, feeds), answers(beside(path, graph), feeds), strict=True):
        for left, right in zip(before, after, strict=True):
            np.testing.assert_allclose(right, left, atol=1e-5)


def save_tweets(path: Path) -> None:
    """Writes the model that ships as ONNX, with its extras."""
    module: Any = torch.jit.load(str(TWEETS)).eval().float()
    extras = read_extras(TWEETS)
    assert extras.signature is not None
    inputs = [spec.name for spec in extras.signature.inputs]
    example = torch.ones((2, 9), dtype=torch.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter for TorchScript is deprecated, and the only one for it
        torch.onnx.export(
            module,
            (example, torch.ones_like(example)),
            str(path),
            dynamo=False,
            input_names=inputs,
            output_names=["logits"],
            dynamic_axes={**{name: {0: "n", 1: "t"} for name in inputs}, "logits": {0: "n"}},
            opset_version=17,
        )
    whole = onnx.load(path)
    signature = {
        "format": 1,
        "name": "tweets",
        "problem_type": "single_label_classification",
        "max_length": extras.signature.max_length,
        "inputs": [{"name": name, "dtype": "int64", "dims": ["n", "t"]} for name in inputs],
        "outputs": [{"name": "logits", "dtype": "float32", "dims": ["n", 3]}],
        "batch": "n",
        "length": "t",
    }
    entries = {"labels.json": json.dumps(extras.labels), "signature.json": json.dumps(signature)}
    helper.set_model_props(whole, {**entries, "tokenizer.json": (extras.tokenizer or b"").decode()})
    onnx.save(whole, path)


def external(location: str) -> onnx.ModelProto:
    """`foreign`, of which one tensor is in the file ``location``."""
    made = foreign()
    weights = made.graph.initializer[0]
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value=location)
    return made
