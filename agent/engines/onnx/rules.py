"""How the operators of ONNX map one row of their outputs to one row of their inputs.

A row is an entry of one dimension, such as one token of [batch, sequence, hidden]. `axis_of` says
in which dimension of an input the same row lies, where the operator computes each row from that
row alone: of LayerNormalization's states, or of the left side of a product. Sources: Operators.md
of onnx 1.23, ContribOperators.md of onnxruntime 1.32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

Dims = tuple[int, ...]

#: Entry by entry, after the usual broadcasting.
_ENTRIES = """
    Abs Add And BiasGelu Cast CastLike Ceil Clip Cos Div Elu Equal Erf Exp FastGelu Floor Gelu Greater GreaterOrEqual HardSigmoid
    HardSwish Identity IsInf IsNaN LeakyRelu Less LessOrEqual Log Max Mean Min Mish Mod Mul Neg Not Or PRelu Pow QuickGelu
    Reciprocal Relu Round Selu Sigmoid Sign Sin Softplus Softsign Sqrt Sub Sum Swish Tan Tanh ThresholdedRelu Where Xor
"""
#: Entry by entry where scale and zero point are single numbers.
_QUANTIZERS = frozenset({"QuantizeLinear", "DequantizeLinear"})
#: Products of an input's rows, the last dimension but one, with another; the inputs that must be single numbers.
_PRODUCTS: Mapping[str, Sequence[int]] = {
    "MatMul": (), "FusedMatMul": (), "MatMulInteger": (2,), "MatMulIntegerToFloat": (2, 4), "QLinearMatMul": (1, 2, 6, 7),
}  # fmt: skip
#: The input that is the right side of a product, where that is not the second.
_RIGHT = {"QLinearMatMul": 3}
_NORMS: Mapping[str, Sequence[int]] = {
    "LayerNormalization": (0,), "SimplifiedLayerNormalization": (0,), "RMSNormalization": (0,),
    "SkipLayerNormalization": (0, 1), "SkipSimplifiedLayerNormalization": (0, 1),
}  # fmt: skip
_REDUCTIONS = frozenset({"ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2", "ReduceSumSquare"})
_VIEWS = frozenset({"Reshape", "Squeeze", "Unsqueeze"})
#: Of attention by onnxruntime: an input that is a mask or bias for each pair of tokens, and inputs that must not be there.
_BIAS, _PAST = 5, (6, 7)


@dataclass(frozen=True)
class Facts:
    """What is known of a graph's tensors.

    ``dims``: of each tensor, in several runs with different numbers of rows and lengths.
    ``constants``: small tensors of whole numbers whose values are in the file. ``opset``: the
    version of ONNX's own operators.
    """

    dims: Mapping[str, Sequence[Dims]]
    constants: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    opset: int = 20

    def rank(self, name: str) -> int:
        """The number of dimensions, -1 where that is not known."""
        return len(self.dims[name][0]) if name in self.dims else -1

    def integers(self, name: str) -> list[int] | None:
        """The values of a constant."""
        return [int(value) for value in self.constants[name].reshape(-1)] if name in self.constants else None

    def is_single(self, name: str) -> bool:
        """Whether a tensor is one number, or is left out."""
        return not name or (name in self.dims and all(math.prod(dims) == 1 for dims in self.dims[name]))


def axis_of(node: onnx.NodeProto, index: int, axis: int, facts: Facts) -> int | None:
    """The dimension of input ``index`` whose row alone is read for one row of dimension ``axis`` of the output.

    None where the operator reads the whole input for it, or is not known.
    """
    rule = _RULES.get(node.op_type) if node.domain in _DOMAINS.get(node.op_type, _ANY) else None
    several = len([name for name in node.output if name]) > 1 and node.op_type != "Split"
    if rule is None or several or facts.rank(node.output[0]) <= axis:
        return None
    return rule(node, index, axis, facts)


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """The value of a node's attribute."""
    return next((onnx.helper.get_attribute_value(found) for found in node.attribute if found.name == name), default)


def picked(node: onnx.NodeProto, facts: Facts) -> tuple[int, int] | None:
    """The dimension of its first input of which an operator reads the first (0) or last (-1) entry alone.

    None where it reads more, or there is no other entry.
    """
    found = _picked(node, facts)
    return found if found and any(dims[found[0]] > 1 for dims in facts.dims[node.input[0]]) else None


def _picked(node: onnx.NodeProto, facts: Facts) -> tuple[int, int] | None:
    rank = facts.rank(node.input[0]) if node.input else -1
    if node.op_type == "Gather" and rank > 1:
        at = facts.integers(node.input[1])
        return (attribute(node, "axis", 0) % rank, at[0]) if at in ([0], [-1]) else None
    if node.op_type == "Slice" and rank > 1:
        starts, ends, axes, steps = ([*map(facts.integers, node.input[1:]), None, None])[:4]
        if axes is None or starts is None or ends is None or len(axes) != 1 or (len(node.input) > 4 and steps != [1]):
            return None
        is_first, is_last = (starts[0], ends[0]) == (0, 1), starts[0] == -1 and ends[0] > 1 << 30
        return (axes[0] % rank, 0 if is_first else -1) if is_first or is_last else None
    return None


def _entries(node: onnx.NodeProto, index: int, axis: int, facts: Facts) -> int | None:
    return _broadcast(node.input[index], node.output[0], axis, facts)


def _broadcast(name: str, output: str, axis: int, facts: Facts) -> int | None:
    """The same dimension of an input that is broadcast to the output; None where it has size 1 there, or none."""
    own = axis - facts.rank(output) + facts.rank(name)
    if name not in facts.dims or own < 0:
        return None
    same = [dims[own] == out[axis] for dims, out in zip(facts.dims[name], facts.dims[output], strict=True)]
    return own if all(same) else None


def _quantizer(node: onnx.NodeProto, index: int, axis: int, facts: Facts) -> int | None:
    return axis if index == 0 and all(facts.is_single(name) for name in node.input[1:3]) else None


def _product(node: onnx.NodeProto, index: int, axis: int, facts: Facts) -> int | None:
    rank, own = facts.rank(node.output[0]), facts.rank(node.input[index])
    turned = any(attribute(node, name, 0) for name in ("transA", "transBatchA", "transBatchB"))
    singles = all(facts.is_single(node.input[at]) for at in _PRODUCTS[node.op_type] if at < len(node.input))
    if index != 0 or own < 2 or turned or not singles or axis > rank - 2:
        return None
    # Each matrix of several has one of its own on the right side, unless that is a single one.
    right = node.input[_RIGHT.get(node.op_type, 1)]
    return axis - rank + own if axis == rank - 2 or (own == rank and facts.rank(right) == 2) else None


def _norm(node: onnx.NodeProto, index: int, axis: int, facts: Facts) -> int | None:
    first = attribute(node, "axis", -1) % facts.rank(node.output[0])
    return _entries(node, index, axis, facts) if index in _NORMS[node.op_type] and axis < first else None


def _softmax(node: onnx.NodeProto, _index: int, axis: int, facts: Facts) -> int | None:
    last = facts.rank(node.output[0]) - 1
    # Before version 13 all dimensions from the axis on, 1 where none is named, were one.
    own = attribute(node, "axis", -1 if facts.opset >= 13 else 1) % (last + 1)
    return axis if axis < last == own else None


def _reduction(node: onnx.NodeProto, index: int, axis: int, facts: Facts) -> int | None:
    axes = attribute(node, "axes", None) or (facts.integers(node.input[1]) if len(node.input) > 1 else None)
    rank = facts.rank(node.output[0])
    return axis if index == 0 and attribute(node, "keepdims", 1) and axes and axis not in {own % rank for own in axes} else None


def _transpose(node: onnx.NodeProto, _index: int, axis: int, facts: Facts) -> int | None:
    order = attribute(node, "perm", None) or range(facts.rank(node.input[0]))[::-1]
    return int(order[axis])


def _view(node: onnx.NodeProto, index: int, axis: int, facts: Facts) -> int | None:
    """A view keeps the dimension that has its size and as many entries before it."""
    if index != 0 or node.input[0] not in facts.dims:
        return None
    pairs = list(zip(facts.dims[node.input[0]], facts.dims[node.output[0]], strict=True))
    kept = (
        own
        for own in range(facts.rank(node.input[0]))
        if all(dims[own] == out[axis] and math.prod(dims[:own]) == math.prod(out[:axis]) for dims, out in pairs)
    )
    return next(kept, None)


def _slice(node: onnx.NodeProto, index: int, axis: int, facts: Facts) -> int | None:
    axes = facts.integers(node.input[3]) if len(node.input) > 3 else None
    rank = facts.rank(node.output[0])
    return axis if index == 0 and axes is not None and axis not in {own % rank for own in axes} else None


def _concat(node: onnx.NodeProto, _index: int, axis: int, facts: Facts) -> int | None:
    return axis if attribute(node, "axis", 0) % facts.rank(node.output[0]) != axis else None


def _split(node: onnx.NodeProto, index: int, axis: int, facts: Facts) -> int | None:
    return axis if index == 0 and attribute(node, "axis", 0) % facts.rank(node.output[0]) != axis else None


def _gather_elements(node: onnx.NodeProto, _index: int, axis: int, facts: Facts) -> int | None:
    own = attribute(node, "axis", 0) % facts.rank(node.output[0])
    # A row of the indices reads the row of the data at the same place.
    same = all(_broadcast(name, node.output[0], axis, facts) == axis for name in node.input)
    return axis if own != axis and same else None


def _attention(node: onnx.NodeProto, index: int, axis: int, facts: Facts) -> int | None:
    """Attention of ONNX: query, key, value, mask; each query is answered on its own."""
    rank = facts.rank(node.output[0])
    if axis != rank - 2 or attribute(node, "is_causal", 0) or any(node.input[4:]):
        return None
    if index == 3:
        return facts.rank(node.input[3]) - 2 if _is_each_query(node.input[3], node.output[0], axis, facts) else None
    return axis if index == 0 else None


def _multi_head(node: onnx.NodeProto, index: int, axis: int, facts: Facts) -> int | None:
    """Attention of onnxruntime: query, key, value, bias of all three, key mask, bias of each pair of tokens."""
    names = [*node.input, *[""] * 8]
    is_joint = not names[1] or facts.rank(names[0]) != 3
    if axis != 1 or is_joint or attribute(node, "unidirectional", 0) or any(names[at] for at in _PAST):
        return None
    if index == _BIAS:
        return 2 if _is_each_query(names[_BIAS], node.output[0], axis, facts) else None
    return 1 if index == 0 else None


def _is_each_query(mask: str, output: str, axis: int, facts: Facts) -> bool:
    """Whether a mask has rows of its own for each query, and not one for all."""
    return facts.rank(mask) > 1 and all(
        own[-2] == out[axis] for own, out in zip(facts.dims[mask], facts.dims[output], strict=True)
    )


#: Domains of the operators; attention by ONNX and by onnxruntime have a name in common, and little else.
_ANY = ("", "ai.onnx", "com.microsoft")
_DOMAINS: Mapping[str, Sequence[str]] = {"Attention": ("", "ai.onnx"), "MultiHeadAttention": ("com.microsoft",)}

_Rule = Callable[[onnx.NodeProto, int, int, Facts], "int | None"]
_RULES: Mapping[str, _Rule] = (
    dict.fromkeys(_ENTRIES.split(), _entries)
    | dict.fromkeys(_QUANTIZERS, _quantizer)
    | dict.fromkeys(_PRODUCTS, _product)
    | dict.fromkeys(_NORMS, _norm)
    | dict.fromkeys(("Softmax", "LogSoftmax"), _softmax)
    | dict.fromkeys(_REDUCTIONS, _reduction)
    | dict.fromkeys(_VIEWS, _view)
    | {
        "Transpose": _transpose, "Slice": _slice, "Concat": _concat, "Split": _split, "GatherElements": _gather_elements,
        "Attention": _attention, "MultiHeadAttention": _multi_head,
    }
)  # fmt: skip


def is_product(node: onnx.NodeProto) -> bool:
    """Whether a node is a product, whose time is worth saving."""
    return node.op_type in _PRODUCTS


def captured(nodes: Iterable[onnx.NodeProto]) -> Iterator[str]:
    """The names that graphs inside of operators use."""
    for node in nodes:
        for attribute in node.attribute:
            for graph in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                yield from (name for inner in graph.node for name in inner.input)
                yield from (value.name for value in graph.output)
                yield from captured(graph.node)


def constants(graph: onnx.GraphProto, most: int = 16) -> dict[str, npt.NDArray[Any]]:
    """The tensors of up to ``most`` whole numbers whose values are in the graph."""
    tensors = [(tensor.name, tensor) for tensor in graph.initializer if tensor.data_type in _WHOLE]
    tensors += [
        (node.output[0], value)
        for node in graph.node
        if node.op_type == "Constant"
        and isinstance(value := attribute(node, "value", None), onnx.TensorProto)
        and value.data_type in _WHOLE
    ]
    small = {
        name: onnx.numpy_helper.to_array(tensor)
        for name, tensor in tensors
        if math.prod(tensor.dims) <= most and tensor.data_location != onnx.TensorProto.EXTERNAL
    }
    return small | {
        node.output[0]: np.array(value)
        for node in graph.node
        if node.op_type == "Constant"
        for key in ("value_int", "value_ints")
        if (value := attribute(node, key, None)) is not None
    }


_WHOLE = (onnx.TensorProto.INT64, onnx.TensorProto.INT32)
