"""Divisions of integers that would end the process: the CPU has no answer to those by 0, and to the least number by -1."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

_DIVISIONS = {"Div", "Mod"}
_FLOATS = {
    onnx.TensorProto.FLOAT,
    onnx.TensorProto.FLOAT16,
    onnx.TensorProto.DOUBLE,
    onnx.TensorProto.BFLOAT16,
}


def unsafe(path: Path, operators: Iterable[tuple[str, str]]) -> str | None:
    """What is divided by numbers that are not fixed, or by 0 or -1, as integers or in a type that cannot be inferred; None: nothing.

    ``operators``: those of the file, whose graph has none inside. Raises what onnx raises.
    """
    if not any(name in _DIVISIONS for _, name in operators):
        return None
    model = onnx.load(path, load_external_data=False)
    graph = onnx.shape_inference.infer_shapes(model).graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*graph.input, *graph.value_info, *graph.output)}
    fixed = {tensor.name: tensor for tensor in graph.initializer}
    fixed |= {
        node.output[0]: attribute.t
        for node in graph.node
        if node.op_type == "Constant" and node.output
        for attribute in node.attribute
        if attribute.name == "value"
    }
    types |= {name: tensor.data_type for name, tensor in fixed.items()}
    for node in graph.node:
        if node.op_type in _DIVISIONS and not any(types.get(name) in _FLOATS for name in node.input):
            divisor = fixed.get(node.input[1]) if len(node.input) > 1 else None
            if divisor is None or np.isin(_numbers(divisor), (0, -1)).any():
                return f"{node.op_type} {node.name}".strip()
    return None


def _numbers(tensor: onnx.TensorProto) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    """Its numbers; 0 for one whose data are not in the file."""
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        return np.zeros(1)
    return numpy_helper.to_array(tensor)
