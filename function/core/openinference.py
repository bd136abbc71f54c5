"""Inference requests and responses of the Open Inference Protocol v2, as bytes, with the binary tensor
data extension. No HTTP.

Source: kserve/open-inference-protocol; Triton's extension_binary_data.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from function.core.answers import ran_as, ranked
from function.core.classifier import Item, Prediction
from function.core.options import Options, read_options
from function.core.problems import problem_of_text
from function.core.request import Malformed, decoded, parse_json
from function.core.texts import Pair, hint
from vaccel_common.modelfile import Pairs, ProgramKind

VERSION = "1"
HEAD_LENGTH = "Inference-Header-Content-Length"
_LENGTH = re.compile(r"[0-9]{1,18}")
_BINARY_SIZE = "binary_data_size"
_INPUTS = ("text", "text_pair")
#: The protocol's and Triton's names; of torch.export they have none, and it is named by the protocol's rule, PROJECT_FORMAT.
_PLATFORMS: dict[ProgramKind, str] = {
    "torchscript": "pytorch_torchscript",
    "export": "pytorch_export",
    "onnx": "onnxruntime_onnx",
}
#: Parameters that say how to answer; all others are returned to the client.
_CONSUMED = ("binary_data_output",)

Rows = Sequence[Item]

_encode = json.JSONEncoder(allow_nan=False).encode


@dataclass(frozen=True)
class InferenceRequest:
    """A request: its texts or `Pair` s (``shape`` [n] or [n, 1]), options, and the ``outputs`` it selects, each with whether as binary."""

    texts: list[Any]
    shape: list[int]
    options: Options
    outputs: list[tuple[str, bool]]
    id: str | None
    parameters: dict[str, Any]

    def answer(self, model: str, items: Rows, labels: list[str]) -> tuple[bytes, int | None]:
        """The answer's body, and the length of its JSON where binary data follows that."""
        answer: dict[str, Any] = {"model_name": model, "model_version": VERSION}
        if self.id is not None:
            answer["id"] = self.id
        returned = {name: value for name, value in self.parameters.items() if name not in _CONSUMED} | ran_as(items)
        if returned:
            answer["parameters"] = returned
        outputs = [_output(name, items, self.options, labels, self.shape) for name, _ in self.outputs]
        return _encoded(answer, outputs, [binary for _, binary in self.outputs])


def read_request(body: bytes, head_length: str | None) -> InferenceRequest:
    """The request in ``body``, whose JSON has ``head_length`` bytes (None: all). Raises `Malformed`, `Unusable`."""
    head, binary = _split(body, head_length)
    texts, shape = _texts(head, binary)
    parameters = _object(head, "parameters")
    if "text_pair" in parameters:
        raise Malformed('"text_pair" is an input, beside text; it is no parameter')
    options = read_options(parameters)
    return InferenceRequest(texts, shape, options, _wanted(head, options), head.get("id"), parameters)


def metadata(name: str, labels: list[str], pairs: Pairs, kind: ProgramKind) -> dict[str, Any]:
    """The model's metadata; an input that requests may leave out is ``optional``, as in Triton's configurations.

    ``kind``: of the model's file. Its platform stays the same where a variant runs in its place.
    """
    inputs: list[dict[str, Any]] = [
        {"name": which, "datatype": "BYTES", "shape": [-1]} for which in (_INPUTS[:1] if pairs == "refused" else _INPUTS)
    ]
    if pairs == "allowed":
        inputs[1]["optional"] = True
    return {
        "name": name,
        "versions": [VERSION],
        "platform": _PLATFORMS[kind],
        "inputs": inputs,
        "outputs": [
            {"name": output, "datatype": kind, "shape": [-1, len(labels)] if wide else [-1]}
            for output, (kind, wide, _) in _OUTPUTS.items()
        ],
    }


def _split(body: bytes, head_length: str | None) -> tuple[dict[str, Any], memoryview]:
    length = len(body)
    if head_length is not None:
        if not _LENGTH.fullmatch(head_length) or int(head_length) > len(body):
            raise Malformed(f"{HEAD_LENGTH}: {head_length[:20]}: a number of bytes, at most the body's {len(body)}, is needed")
        length = int(head_length)
    head = parse_json(body[:length])
    if not isinstance(head, dict):
        raise Malformed("an inference request is a JSON object")
    if not isinstance(head.get("id"), str | None):
        raise Malformed('"id" must be a string')
    return head, memoryview(body)[length:]


def _object(holder: dict[str, Any], name: str) -> dict[str, Any]:
    value = holder.get(name)
    if value is not None and not isinstance(value, dict):
        raise Malformed(f'"{name}" must be an object')
    return value or {}


def _texts(head: dict[str, Any], binary: memoryview) -> tuple[list[Any], list[int]]:
    """The texts, or pairs where there are two inputs, and their shape."""
    inputs = head.get("inputs")
    if not isinstance(inputs, list) or not 1 <= len(inputs) <= 2 or not all(isinstance(tensor, dict) for tensor in inputs):
        raise Malformed('"inputs" must hold one tensor, named text, and for pairs of texts a second one, text_pair')
    read: dict[str, tuple[list[Any], list[int]]] = {}
    for tensor in inputs:
        name = tensor.get("name")
        if name not in _INPUTS:
            raise Malformed(
                f"unexpected input {str(name)[:40]!r}; the model's input is text, and for pairs text_pair{_meant(name)}"
            )
        if name in read:
            raise Malformed(f"the input {name} is there twice")
        values, shape, binary = _tensor(name, tensor, binary)
        read[name] = values, shape
    if len(binary):
        raise Malformed(f"{len(binary)} bytes follow the data of the inputs, which no {_BINARY_SIZE} counts")
    if "text" not in read:
        raise Malformed("the input text is missing")
    texts, shape = read["text"]
    seconds, second_shape = read.get("text_pair", (None, shape))
    if shape != second_shape:
        raise Malformed(f"the shape of text_pair must be that of text, {shape}, not {second_shape}")
    return texts if seconds is None else [Pair(*both) for both in zip(texts, seconds, strict=True)], shape


def _meant(name: Any) -> str:
    if not isinstance(name, str):
        return ""
    return hint([name], *_INPUTS)


def _tensor(name: str, tensor: dict[str, Any], binary: memoryview) -> tuple[list[Any], list[int], memoryview]:
    """A tensor's elements and shape, and the binary data that follow its own."""
    if tensor.get("datatype") != "BYTES":
        raise Malformed(f"the datatype of {name} is BYTES, not {str(tensor.get('datatype'))[:40]}")
    shape = _shape(name, tensor.get("shape"))
    size = _object(tensor, "parameters").get(_BINARY_SIZE)
    if size is None:
        texts = _flat(name, tensor.get("data"))
    else:
        texts, binary = _from_binary(name, binary, size)
    if len(texts) != shape[0]:
        raise Malformed(f"{name} has {len(texts)} elements, not what its shape {str(shape)[:40]} says")
    return texts, shape, binary


def _shape(name: str, shape: Any) -> list[int]:
    integers = isinstance(shape, list) and all(isinstance(dim, int) and not isinstance(dim, bool) for dim in shape)
    if not integers or len(shape) not in (1, 2) or shape[0] < 0 or (len(shape) == 2 and shape[1] != 1):
        raise Malformed(f"the shape of {name} must be [n] or [n, 1]")
    return list(shape)


def _flat(name: str, data: Any) -> list[Any]:
    if not isinstance(data, list):
        raise Malformed(f'the data of {name} must be a list of strings (or come as binary data: "binary_data_size")')
    return [item for row in data for item in (row if isinstance(row, list) else [row])]


def _from_binary(name: str, binary: memoryview, size: Any) -> tuple[list[str | bytes], memoryview]:
    """The elements of a BYTES tensor, each its length (uint32, little-endian), then its bytes; and what follows them.

    One that is not UTF-8 is returned as it is, and is that text's error when the texts are checked.
    """
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= len(binary):
        raise Malformed(f"{_BINARY_SIZE} is {str(size)[:20]} for {name}; {len(binary)} bytes follow the JSON")
    texts: list[str | bytes] = []
    at = 0
    while at < size:
        if at + 4 > size or at + 4 + (length := struct.unpack_from("<I", binary, at)[0]) > size:
            raise Malformed(f"the binary data of {name} ends inside element {len(texts)}")
        texts.append(_text(bytes(binary[at + 4 : at + 4 + length])))
        at += 4 + length
    return texts, binary[size:]


def _text(element: bytes) -> str | bytes:
    try:
        return decoded(element)
    except Malformed:
        return element


def _wanted(head: dict[str, Any], options: Options) -> list[tuple[str, bool]]:
    """The outputs that the request selects, each with whether as binary data."""
    default = _object(head, "parameters").get("binary_data_output") is True
    outputs = head.get("outputs")
    if outputs is None or outputs == []:
        outputs_of = {"label": True, "scores": True, "logits": options.logits, "windows": options.truncation == "window"}
        outputs_of |= {"labels": options.threshold is not None or options.top_k is not None, "error": options.errors == "item"}
        return [(name, default) for name, selected in outputs_of.items() if selected]
    if not isinstance(outputs, list) or not all(isinstance(output, dict) for output in outputs):
        raise Malformed('"outputs" must be a list of objects, each with a "name"')
    for output in outputs:
        if not isinstance(output.get("name"), str) or output["name"] not in _OUTPUTS:
            raise Malformed(f"unexpected output {str(output.get('name'))[:40]!r}; the model's outputs are {', '.join(_OUTPUTS)}")
    return [(output["name"], _object(output, "parameters").get("binary_data", default) is True) for output in outputs]


Values = Callable[[Prediction, Options], list[Any]]


def _labels(item: Prediction, options: Options) -> list[Any]:
    threshold = options.threshold if options.threshold is not None else float("-inf")
    return [json.dumps([label for label in ranked(item)[: options.top_k] if item.scores[label] >= threshold])]


#: Output -> datatype, whether it has a value for each label, and its values for one text. ``labels`` is a JSON list.
_OUTPUTS: dict[str, tuple[str, bool, Values]] = {
    "label": ("BYTES", False, lambda item, _: [item.label]),
    "scores": ("FP32", True, lambda item, _: list(item.scores.values())),
    "logits": ("FP32", True, lambda item, _: list(item.logits.values())),
    "tokens": ("INT32", False, lambda item, _: [item.tokens]),
    "windows": ("INT32", False, lambda item, _: [item.windows]),
    "labels": ("BYTES", False, _labels),
    "error": ("BYTES", False, lambda *_: [""]),
}
_MISSING: dict[str, Any] = {"BYTES": "", "FP32": 0.0, "INT32": 0}


def _output(name: str, items: Rows, options: Options, labels: list[str], shape: list[int]) -> dict[str, Any]:
    kind, wide, values = _OUTPUTS[name]
    data: list[Any] = []
    for item in items:
        if isinstance(item, Prediction):
            data += values(item, options)
        else:
            data += [problem_of_text(item).detail] if name == "error" else [_MISSING[kind]] * (len(labels) if wide else 1)
    return {
        "name": name,
        "datatype": kind,
        "shape": [len(items), len(labels)] if wide else [len(items), *shape[1:]],
        "data": data,
    }


def _encoded(answer: dict[str, Any], outputs: list[dict[str, Any]], binary: list[bool]) -> tuple[bytes, int | None]:
    parts: list[bytes] = []
    for output, as_binary in zip(outputs, binary, strict=True):
        if as_binary:
            parts.append(_to_binary(output["datatype"], output.pop("data")))
            output["parameters"] = {_BINARY_SIZE: len(parts[-1])}
    try:
        head = _encode({**answer, "outputs": outputs}).encode()
    except RecursionError:
        raise Malformed('"parameters" are too deeply nested') from None
    return b"".join([head, *parts]), len(head) if parts else None


def _to_binary(kind: str, data: list[Any]) -> bytes:
    if kind == "BYTES":
        return b"".join(struct.pack("<I", len(text)) + text for text in (value.encode() for value in data))
    return struct.pack(f"<{len(data)}{'f' if kind == 'FP32' else 'i'}", *data)
