"""The types of numbers in which a program's weights are stored."""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import onnx
import torch
from torch import nn

_TYPES: dict[int, str] = {
    onnx.TensorProto.FLOAT: "float32",
    onnx.TensorProto.FLOAT16: "float16",
    onnx.TensorProto.BFLOAT16: "bfloat16",
    onnx.TensorProto.DOUBLE: "float64",
    onnx.TensorProto.INT8: "int8",
    onnx.TensorProto.UINT8: "uint8",
}


def stored(program: Any) -> str:
    """The types of the weights in a module, a program of ``torch.export`` or an ONNX model: ``float16 and float32``.

    The type of most of the numbers comes first.
    """
    sizes: Counter[str] = Counter()
    for name, size in _of_onnx(program.graph) if isinstance(program, onnx.ModelProto) else _of_torch(program):
        # A single number is a scale or a bound, and no weight.
        if size > 1:
            sizes[name] += size
    return " and ".join(name for name, _ in sizes.most_common()) or "float32"


def in_float32(module: nn.Module) -> nn.Module:
    """The module as the agent computes it on a CPU: with weights in float32; a copy where they are not."""
    states = (*module.parameters(), *module.buffers())
    if all(state.dtype == torch.float32 for state in states if state.is_floating_point()):
        return module
    return copy.deepcopy(module).float()


def _of_torch(program: Any) -> Iterator[tuple[str, int]]:
    state = program.state_dict
    # A program of ``torch.export`` has it as a property, a module as a method.
    for value in (state() if callable(state) else state).values():
        if value.is_floating_point():
            yield str(value.dtype).removeprefix("torch."), value.numel()


def _of_onnx(graph: onnx.GraphProto) -> Iterator[tuple[str, int]]:
    constants = [attribute.t for node in graph.node if node.op_type == "Constant" for attribute in node.attribute]
    for tensor in (*graph.initializer, *constants):
        if name := _TYPES.get(tensor.data_type):
            yield name, math.prod(tensor.dims)
