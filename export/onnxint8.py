"""int8 products in the linear layers of an ONNX graph, as `export.lowered` has them for TorchScript.

Static: the range of each layer's inputs is measured beforehand. Layers that take the same input
share its quantized form. What decides the label, the last layers of a classifier, stays in float32.
Weights have 7 bits: x86 CPUs without VNNI add two products in 16 bits, which those of 8 bits overflow.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from export import onnxrun

Range = tuple[float, float]
#: The domain of onnxruntime's own operators, and the one that is used: uint8 times int8, scaled to float32, plus a bias.
_DOMAIN, _PRODUCT = "com.microsoft", "MatMulIntegerToFloat"
#: The largest weight. Two products with inputs of at most 255 add up to 32,640 at most, less than 2**15.
_LARGEST = 64


def ranges(model: onnx.ModelProto, batches: Iterable[Mapping[str, npt.NDArray[Any]]]) -> dict[str, Range]:
    """Minimum and maximum of each linear layer's input over ``batches``, which have no padding."""
    names = sorted({node.input[0] for node in linear(model.graph)})
    observed = onnx.ModelProto()
    observed.CopyFrom(model)
    observed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    session = onnxrun.session(observed)
    bounds = dict.fromkeys(names, (0.0, 0.0))
    for batch in batches:
        for name, values in zip(names, session.run(names, dict(batch)), strict=True):
            low, high = bounds[name]
            bounds[name] = min(low, float(values.min())), max(high, float(values.max()))
    return bounds


def to_int8(model: onnx.ModelProto, bounds: Mapping[str, Range]) -> onnx.ModelProto:
    """A copy of ``model`` with int8 products in its linear layers; inputs outside ``bounds`` saturate."""
    lowered = onnx.ModelProto()
    lowered.CopyFrom(model)
    _Lowering(lowered.graph, bounds).write()
    if all(opset.domain != _DOMAIN for opset in lowered.opset_import):
        lowered.opset_import.append(helper.make_opsetid(_DOMAIN, 1))
    return lowered


def linear(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The products of states with float32 weights. A classifier's head has Gemm, or is the last of them."""
    floats = onnx.TensorProto.FLOAT
    weights = {tensor.name for tensor in graph.initializer if len(tensor.dims) == 2 and tensor.data_type == floats}
    products = [node for node in graph.node if node.op_type == "MatMul" and node.input[1] in weights]
    return products if any(node.op_type == "Gemm" for node in graph.node) else products[:-1]


class _Lowering:
    """Replaces the linear layers of a graph, each with the addition of its bias."""

    def __init__(self, graph: onnx.GraphProto, bounds: Mapping[str, Range]) -> None:
        self._graph, self._bounds = graph, bounds
        self._weights = {tensor.name: tensor for tensor in graph.initializer}
        self._users: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in graph.node:
            for name in node.input:
                self._users[name].append(node)
        self._quantized: set[str] = set()
        self._added: dict[str, onnx.TensorProto] = {}

    def write(self) -> None:
        """Puts the new nodes into the graph, and leaves out weights that nothing uses now."""
        products = {node.output[0]: node.input[1] for node in linear(self._graph)}
        biases = {product: bias for product, weight in products.items() if (bias := self._bias(product, weight))}
        dropped = {add for add, _ in biases.values()}
        nodes: list[onnx.NodeProto] = []
        for node in self._graph.node:
            if node.output[0] in products:
                nodes += self._lowered(node, *biases.get(node.output[0], (node.output[0], "")))
            elif node.output[0] not in dropped:
                nodes.append(node)
        used = _used(nodes)
        tensors = [tensor for tensor in (*self._weights.values(), *self._added.values()) if tensor.name in used]
        lowered = onnx.GraphProto(node=nodes, initializer=tensors)
        del self._graph.node[:], self._graph.initializer[:]
        self._graph.MergeFrom(lowered)

    def _bias(self, product: str, weight: str) -> tuple[str, str] | None:
        """The output and the weights of the addition that alone uses a product, if they are a bias."""
        users = self._users[product]
        if len(users) != 1 or users[0].op_type != "Add":
            return None
        dims = self._weights[weight].dims[1:]
        names = [name for name in users[0].input if name in self._weights and self._weights[name].dims == dims]
        return (users[0].output[0], names[0]) if names else None

    def _lowered(self, node: onnx.NodeProto, output: str, bias: str) -> list[onnx.NodeProto]:
        source, weight = node.input
        low, high = self._bounds[source]
        scale = max(high - low, 1e-8) / 255
        scale_name = self._add(f"{source}_scale", np.float32(scale))
        zero_name = self._add(f"{source}_zero", np.uint8(round(-low / scale)))
        values, scales = _quantized(numpy_helper.to_array(self._weights[weight]))
        names = [
            f"{source}_int8",
            self._add(f"{weight}_int8", values),
            scale_name,
            self._add(f"{weight}_scale", scales),
            zero_name,
        ]
        quantize = helper.make_node("QuantizeLinear", [source, scale_name, zero_name], [f"{source}_int8"])
        product = helper.make_node(_PRODUCT, [*names, "", bias] if bias else names, [output], domain=_DOMAIN)
        first = source not in self._quantized
        self._quantized.add(source)
        return [quantize, product] if first else [product]

    def _add(self, name: str, value: npt.NDArray[Any] | np.generic) -> str:
        self._added[name] = numpy_helper.from_array(np.asarray(value), name)
        return name


def _used(nodes: Iterable[onnx.NodeProto]) -> set[str]:
    """The names that nodes and the graphs in them use."""
    names: set[str] = set()
    for node in nodes:
        names.update(node.input)
        for attribute in node.attribute:
            for graph in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                names |= _used(graph.node) | {value.name for value in graph.output}
    return names


def _quantized(weight: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Weights [in, out] in int8, at most `_LARGEST`, with a scale for each output."""
    scales = np.maximum(np.abs(weight).max(0) / _LARGEST, 1e-8).astype(np.float32)
    return np.clip(np.rint(weight / scales), -_LARGEST, _LARGEST).astype(np.int8), scales
