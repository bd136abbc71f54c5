"""An ONNX file that another tool wrote, such as optimum: what it takes, what it gives, and its answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from agent.engines.contract import Batch
from agent.engines.cost import UNKNOWN
from agent.engines.onnx.sessions import EXACT_INT8, reason
from export.archive import SOURCES
from export.onnxfiles import require_whole
from export.refusal import Refused, one_line
from export.signatures import signature_of
from vaccel_common.modelfile import Pairs, Signature
from vaccel_rpc.tensors import Tensor

_DTYPES: dict[int, str] = {
    onnx.TensorProto.INT32: "int32",
    onnx.TensorProto.INT64: "int64",
    onnx.TensorProto.FLOAT: "float32",
    onnx.TensorProto.FLOAT16: "float16",
}


@dataclass(frozen=True)
class ForeignModel:
    """A graph whose inputs the function can make, and whose only output is its logits.

    ``dropped``: outputs that it had beside them.
    """

    model: onnx.ModelProto
    dropped: list[str]

    @property
    def length(self) -> int | None:
        """The tokens of each text where the graph takes no other number of them."""
        lengths = [_spec(value, ["n", "t"])["dims"][1] for value in _inputs(self.model.graph)]
        return min((length for length in lengths if isinstance(length, int)), default=None)

    def signature(self, name: str, problem_type: str, max_length: int, classes: int, pad: int, pairs: Pairs | None = None) -> str:
        """Its ``signature.json``; ``pairs`` None: not stated. Raises `Refused` where the graph does not fit the number of labels."""
        inputs = [_spec(value, ["n", "t"]) for value in _inputs(self.model.graph)]
        output = _spec(self.model.graph.output[0], ["n", classes])
        if output["dims"][1] != classes:
            raise Refused(f"its output {output['name']} has {output['dims'][1]} classes, and there are {classes} labels")
        return signature_of(name, problem_type, min(max_length, self.length or max_length), inputs, output, pad, pairs)


#: Operators that multiply integers.
_INTEGERS = {
    "ConvInteger", "DynamicQuantizeLSTM", "DynamicQuantizeMatMul", "MatMulInteger", "MatMulIntegerToFloat", "QAttention", "QGemm",
    "QLinearConv", "QLinearMatMul",
}  # fmt: skip


class PlainSession:
    """A graph as onnxruntime computes it without optimizations, each request by itself.

    ``is_plain``: False for one with products of integers, which only optimizations keep from overflowing on
    some CPUs (`agent.engines.onnx.sessions.EXACT_INT8`). It is an `agent.engines.contract.Program`.
    """

    joinable = False
    cost = UNKNOWN

    def __init__(self, model: onnx.ModelProto, signature: Signature | None) -> None:
        self.signature = signature
        options = onnxruntime.SessionOptions()
        self.is_plain = all(node.op_type not in _INTEGERS for node in model.graph.node)
        levels = onnxruntime.GraphOptimizationLevel
        options.graph_optimization_level = levels.ORT_DISABLE_ALL if self.is_plain else levels.ORT_ENABLE_EXTENDED
        options.add_session_config_entry(*EXACT_INT8)
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # noqa: BLE001 onnxruntime raises many kinds
            raise Refused(f"onnxruntime cannot load it: {reason(error)}") from None

    def run(self, requests: Sequence[Sequence[Tensor]], *, alone: bool) -> Batch:  # noqa: ARG002 as the contract has it
        """Each request's outputs. Raises `Refused` with onnxruntime's reason."""
        try:
            return Batch([self._one(request) for request in requests], 0.0, 0.0)
        except Exception as error:  # noqa: BLE001 onnxruntime raises many kinds
            raise Refused(f"onnxruntime cannot run it: {reason(error)}") from None

    def _one(self, request: Sequence[Tensor]) -> list[Tensor]:
        arrays = [np.frombuffer(tensor.data, tensor.dtype).reshape(tensor.dims) for tensor in request]
        feed = dict(zip((value.name for value in self._session.get_inputs()), arrays, strict=True))
        return [Tensor(str(array.dtype), array.shape, array.tobytes()) for array in self._session.run(None, feed)]


def read_foreign(path: Path) -> ForeignModel:
    """The graph in ``path``, weights in files beside it included.

    Raises `Refused` where it is not ONNX, lacks files, is too large for one, or is no classifier of tokens.
    """
    require_whole(path)
    try:
        model = onnx.load(path)
    except Exception as error:  # noqa: BLE001 protobuf and onnx raise several kinds
        raise Refused(f"{path} cannot be read as ONNX: {one_line(error)}") from None
    return _of_classifier(model)


def _of_classifier(model: onnx.ModelProto) -> ForeignModel:
    names = [value.name for value in _inputs(model.graph)]
    if unknown := [name for name in names if name not in SOURCES]:
        raise Refused(f"it takes {', '.join(unknown)}; the function sends {', '.join(SOURCES)}")
    if "input_ids" not in names:
        raise Refused(f"it takes {', '.join(names) or 'nothing'}, and not input_ids")
    outputs = {value.name: value for value in model.graph.output}
    logits = outputs.get("logits") or (next(iter(outputs.values())) if len(outputs) == 1 else None)
    if logits is None:
        raise Refused(f"it gives {', '.join(outputs)}: the output of a classifier must be named logits, or be the only one")
    del model.graph.output[:]
    model.graph.output.append(logits)
    return ForeignModel(model, [name for name in outputs if name != logits.name])


def _inputs(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """Its inputs, without those that older files list for their weights too."""
    weights = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in weights]


def _spec(value: onnx.ValueInfoProto, names: Sequence[str | int]) -> dict[str, Any]:
    """The entry of an input or output of two dimensions; ``names``: of those without a fixed size."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        raise Refused(f"the graph does not say of what shape {value.name} is: onnx.shape_inference.infer_shapes may find it")
    dims = [dim.dim_value if dim.HasField("dim_value") else name for dim, name in zip(tensor.shape.dim, names, strict=False)]
    if tensor.elem_type not in _DTYPES or len(tensor.shape.dim) != len(names):
        kind = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
        raise Refused(
            f"{value.name} is {kind} with {len(tensor.shape.dim)} dimensions; [n, t] for an input, [n, classes] for logits are expected"
        )
    return {"name": value.name, "dtype": _DTYPES[tensor.elem_type], "dims": dims}
