"""A classifier as one ONNX file: float32, with the extra files in its ``metadata_props``."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import helper
from torch import nn
from transformers import PreTrainedModel

from export.archive import example_inputs, exported
from export.refusal import Refused
from vaccel_common.modelfile import Signature, parse_signature

#: Bytes that one ONNX file holds at most: it is one protobuf message.
LARGEST = 2**31 - 1
#: The version of ONNX's operators in what the older exporter writes: the first with LayerNormalization.
_OPSET = 17


def of_export(module: nn.Module, extras: dict[str, str]) -> onnx.ModelProto:
    """The ONNX model of ``module`` by ``torch.export``. Raises `Refused` where it is too large."""
    require_size(module)
    inputs, outputs = _names(parse_signature(extras["signature.json"]))
    program = torch.onnx.export(
        exported(_with_plain_attention(module), extras), (), input_names=inputs, output_names=outputs, dynamo=True
    )
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    return model


def of_trace(module: nn.Module, extras: dict[str, str]) -> onnx.ModelProto:
    """The ONNX model of ``module`` by a trace, also of what is TorchScript already.

    Raises `Refused` where it is too large.
    """
    require_size(module)
    signature = parse_signature(extras["signature.json"])
    inputs, outputs = _names(signature)
    axes = {
        spec.name: {at: dim for at, dim in enumerate(spec.dims) if isinstance(dim, str)}
        for spec in (*signature.inputs, *signature.outputs)
    }
    # Weights may be 16-bit numbers, in which nothing is computed.
    module = copy.deepcopy(module).float().eval()
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        torch.onnx.export(
            module,
            example_inputs(extras),
            file.name,
            input_names=inputs,
            output_names=outputs,
            dynamic_axes=axes,
            opset_version=_OPSET,
            dynamo=False,
        )
        model = onnx.load(file.name)
    _with_all_inputs(model.graph, signature)
    return model


def _with_all_inputs(graph: onnx.GraphProto, signature: Signature) -> None:
    """Gives the graph the inputs that its module takes and does not use, which the older exporter leaves out."""
    used = {value.name: value for value in graph.input}
    inputs = [
        used.get(spec.name)
        or helper.make_tensor_value_info(spec.name, helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype)), spec.dims)
        for spec in signature.inputs
    ]
    del graph.input[:]
    graph.input.extend(inputs)


def _with_plain_attention(module: nn.Module) -> nn.Module:
    """The module, where models of transformers compute attention as plain products: a copy that shares the weights.

    torch's fused attention becomes a third more operators in ONNX, and takes longer there.
    """
    if not any(isinstance(part, PreTrainedModel) for part in module.modules()):
        return module
    weights = {id(weight): weight for weight in (*module.parameters(), *module.buffers())}
    plain: nn.Module = copy.deepcopy(module, weights)
    for part in plain.modules():
        if isinstance(part, PreTrainedModel):
            part.set_attn_implementation("eager")
    return plain


def _names(signature: Signature) -> tuple[list[str], list[str]]:
    return [spec.name for spec in signature.inputs], [spec.name for spec in signature.outputs]


def require_size(module: nn.Module, largest: int = LARGEST) -> None:
    """Raises `Refused` where the weights of ``module`` in float32 do not fit into one file."""
    size = 4 * sum(weight.numel() for weight in (*module.parameters(), *module.buffers()) if weight.is_floating_point())
    if size > largest:
        raise Refused(f"its weights are {size / 1e9:.3g} GB, and one ONNX file holds at most {largest / 1e9:.3g}")


def save(model: onnx.ModelProto, path: Path, extras: dict[str, str]) -> None:
    """Writes the model with its extra files, and without the builder's paths.

    Inputs and outputs have the dimensions of ``signature.json``.
    """
    signature = parse_signature(extras["signature.json"])
    values = {value.name: value for value in (*model.graph.input, *model.graph.output)}
    for spec in (*signature.inputs, *signature.outputs):
        dims = values[spec.name].type.tensor_type.shape
        del dims.dim[:]
        for dim in spec.dims:
            dims.dim.add(dim_param=dim) if isinstance(dim, str) else dims.dim.add(dim_value=dim)
    # The shapes between them have the exporter's names of dimensions; every engine infers its own.
    del model.graph.value_info[:]
    del model.metadata_props[:]
    for node in model.graph.node:
        # The exporter's notes have the lines of source of each operator, with their paths.
        del node.metadata_props[:]
        node.doc_string = ""
    path.write_bytes(model.SerializeToString())
    for name, content in extras.items():
        add_entry(path, name, content)


def add_entry(path: Path, name: str, content: str) -> None:
    """Adds an extra file to an ONNX file.

    Protobuf joins the repeated fields of messages that follow one another: the entry is appended.
    """
    entry = onnx.ModelProto(metadata_props=[onnx.StringStringEntryProto(key=name, value=content)])
    with path.open("ab") as file:
        file.write(entry.SerializeToString())
