"""A model without what nobody reads: see `agent.engines.onnx.onerow` and `agent.engines.onnx.unpadded`.

The sizes of its tensors are seen in runs without its weights, on which sizes do not depend.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from agent.engines import arrays
from agent.engines.layout import Layout
from agent.engines.onnx import sessions
from vaccel_common.modelfile import Signature
from vaccel_rpc.tensors import Tensor

if TYPE_CHECKING:
    import onnx

    from agent.engines.onnx.rules import Facts

_log = logging.getLogger("agent.engines.onnx")

#: Rows and length of the runs; in both, no dimension of a model has the size of either by chance.
_RUNS = ((3, 13), (5, 17))
#: Tensors of more numbers are weights.
_FEW = 64
#: The input that is 0 for padding, and the length of texts with each kind of it.
_MASK, _MASKED = "attention_mask", 15


class Reduced(NamedTuple):
    """The graph of a model for batches, and for a request that is alone (None: the file's own).

    Their weights are external data, in the model's own file and in those beside it. ``rows``,
    ``tokens``: how many products are computed for one token of each text, and for tokens without
    padding.
    """

    batched: bytes
    alone: bytes | None
    rows: int
    tokens: int

    def __str__(self) -> str:
        rows = f"{self.rows} products for the one token that is read of the last layer" if self.rows else ""
        tokens = f"{self.tokens} products without padding" if self.tokens else ""
        return " and ".join(filter(None, (rows, tokens)))


def reduced(path: Path, layout: Layout) -> list[Reduced]:
    """The forms of a file's model that compute less for the same answers, the one that computes least first.

    There is none where all that it computes is needed, or where that cannot be seen.
    """
    name = layout.signature.name
    if find_spec("onnx") is None:
        _log.info("%s is computed as it is in its file, for want of the package onnx", name)
        return []
    # onnxruntime's errors and protobuf's have no class in common.
    try:
        return _reduced(path, layout)
    except Exception as error:  # noqa: BLE001
        _log.debug("%s is computed as it is in its file: %s", name, sessions.reason(error))
        return []


def _reduced(path: Path, layout: Layout) -> list[Reduced]:
    import onnx

    from agent.engines.onnx import onerow, unpadded, weights

    model = onnx.ModelProto.FromString(weights.without_weights(path))
    rows = onerow.reduce(model, _facts(model, layout)) if onerow.reads_one_row(model.graph) else 0
    alone = model.SerializeToString() if rows else None
    forms = [Reduced(alone, alone, rows, 0)] if alone else []
    texts = unpadded.Texts(_MASK, _RUNS)
    if _may_be_padded(layout) and (tokens := unpadded.unpad(model, _facts(model, layout), texts)):
        forms.insert(0, Reduced(model.SerializeToString(), alone, rows, tokens))
    return forms


def with_masks(layout: Layout) -> list[list[Tensor]]:
    """A request with padding at either end and between tokens, alone, and not at all: whatever a client's mask says, a
    form's answers are to be the model's own. None for a model that is not told what is padding.

    Padding has the values by which the agent pads: some models find the end of a text by them, not by the mask.
    """
    if not _tells_padding(layout.signature):
        return []
    places = np.arange(min(_MASKED, layout.signature.max_length or _MASKED))
    half = len(places) // 2
    masks = np.stack([places >= 0, places < half, places < 0, places >= half, places % 3 != 1, places < 1])
    request = [arrays.to_array(tensor) for tensor in layout.example(len(places), len(masks))]
    for at, spec in enumerate(layout.signature.inputs):
        if spec.name == _MASK:
            request[at] = masks.astype(request[at].dtype)
        elif request[at].shape == masks.shape:
            request[at] = np.where(masks, request[at], np.array(spec.pad, request[at].dtype))
    return [list(map(arrays.from_array, request))]


def _may_be_padded(layout: Layout) -> bool:
    """Whether requests are joined with padding of which a model is told, and by answers that show whether it is minded."""
    outputs = layout.signature.outputs
    return layout.joinable and _tells_padding(layout.signature) and all(spec.dtype.startswith("float") for spec in outputs)


def _tells_padding(signature: Signature) -> bool:
    """Whether a model is told what is padding."""
    dims = (signature.batch, signature.length)
    return any(spec.name == _MASK and spec.dims == dims for spec in signature.inputs)


def _facts(model: onnx.ModelProto, layout: Layout) -> Facts:
    from agent.engines.onnx import rules

    version = next((own.version for own in model.opset_import if own.domain in ("", "ai.onnx")), 1)
    return rules.Facts(_sizes(model, layout), rules.constants(model.graph), version)


def _sizes(model: onnx.ModelProto, layout: Layout) -> dict[str, Sequence[tuple[int, ...]]]:
    """The dimensions of each tensor in each of the runs."""
    import onnx
    from onnx import helper

    observed = _with_zeros(model)
    graph = observed.graph
    names = list(dict.fromkeys(_names(graph)))
    outputs = [f"{name}.sizes" for name in names]
    graph.node.extend(helper.make_node("Shape", [name], [output]) for name, output in zip(names, outputs, strict=True))
    graph.output.extend(onnx.ValueInfoProto(name=output) for output in outputs)
    session = sessions.plain(observed.SerializeToString())
    inputs = [spec.name for spec in layout.signature.inputs]
    runs = [
        session.run(outputs, dict(zip(inputs, map(arrays.to_array, layout.example(length, rows)), strict=True)))
        for rows, length in _RUNS
    ]
    return {name: [_dims(sizes) for sizes in found] for name, *found in zip(names, *runs, strict=True)}


def _dims(sizes: arrays.Array) -> tuple[int, ...]:
    return tuple(int(size) for size in sizes)


def _names(graph: onnx.GraphProto) -> Iterator[str]:
    """The names of the tensors of a graph."""
    yield from (value.name for value in graph.input)
    yield from (tensor.name for tensor in graph.initializer)
    yield from (name for node in graph.node for name in node.output if name)


def _with_zeros(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of the model with zeros, made as it runs, in place of its weights."""
    import onnx
    from onnx import helper, numpy_helper

    light = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    graph = light.graph
    graph.name = "sizes"
    graph.input.extend(model.graph.input)
    graph.output.extend(model.graph.output)
    for tensor in model.graph.initializer:
        if math.prod(tensor.dims) <= _FEW and tensor.data_location != onnx.TensorProto.EXTERNAL:
            graph.initializer.append(tensor)
            continue
        dims = numpy_helper.from_array(np.array(tensor.dims, np.int64), f"{tensor.name}.dims")
        size = helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
        zero = onnx.TensorProto(name="zero", data_type=tensor.data_type, dims=[1], raw_data=b"\0" * size)
        graph.initializer.append(dims)
        graph.node.append(helper.make_node("ConstantOfShape", [dims.name], [tensor.name], value=zero))
    graph.node.extend(model.graph.node)
    return light
