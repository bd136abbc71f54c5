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

VERSION = "1"
HEAD_LENGTH = "Inference-Header-Content-Length"
_LENGTH = re.compile(r"[0-9]{1,18}")
_BINARY_SIZE = "binary_data_size"
#: Parameters that say how to answer; all others are returned to the client.
_CONSUMED = ("binary_data_output",)

Rows = Sequence[Item]

_encode = json.JSONEncoder(allow_nan=False).encode


@dataclass(frozen=True)
class InferenceRequest:
    """A request: its texts (``shape`` [n] or [n, 1]), options, and the ``outputs`` it selects, each with whether as binary data."""

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
    options = read_options(parameters)
    return InferenceRequest(texts, shape, options, _wanted(head, options), head.get("id"), parameters)


def metadata(name: str, labels: list[str]) -> dict[str, Any]:
    """The model's metadata."""
    return {
        "name": name,
        "versions": [VERSION],
        "platform": "pytorch_torchscript",
        "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}],
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
    """The texts of the one input, and its shape."""
    inputs = head.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise Malformed('"inputs" must hold one tensor, named text')
    tensor = inputs[0]
    if tensor.get("name") != "text":
        raise Malformed(f"unexpected input {str(tensor.get('name'))[:40]!r}; the model's input is text")
    if tensor.get("datatype") != "BYTES":
        raise Malformed(f"the datatype of text is BYTES, not {str(tensor.get('datatype'))[:40]}")
    shape = _shape(tensor.get("shape"))
    size = _object(tensor, "parameters").get(_BINARY_SIZE)
    texts = _flat(tensor.get("data")) if size is None else _from_binary(binary, size)
    if len(texts) != shape[0]:
        raise Malformed(f"text has {len(texts)} elements, not what its shape {str(shape)[:40]} says")
    return texts, shape


def _shape(shape: Any) -> list[int]:
    integers = isinstance(shape, list) and all(isinstance(dim, int) and not isinstance(dim, bool) for dim in shape)
    if not integers or len(shape) not in (1, 2) or shape[0] < 0 or (len(shape) == 2 and shape[1] != 1):
        raise Malformed("the shape of text must be [n] or [n, 1]")
    return list(shape)


def _flat(data: Any) -> list[Any]:
    if not isinstance(data, list):
        raise Malformed('the data of text must be a list of strings (or come as binary data: "binary_data_size")')
    return [item for row in data for item in (row if isinstance(row, list) else [row])]


def _from_binary(binary: memoryview, size: Any) -> list[str]:
    """The elements of a BYTES tensor: each its length (uint32, little-endian), then its bytes."""
    if not isinstance(size, int) or isinstance(size, bool) or size != len(binary):
        raise Malformed(f"{_BINARY_SIZE} is {str(size)[:20]}; {len(binary)} bytes follow the JSON")
    texts: list[str] = []
    at = 0
    while at < size:
        if at + 4 > size or at + 4 + (length := struct.unpack_from("<I", binary, at)[0]) > size:
            raise Malformed(f"the binary data of text ends inside element {len(texts)}")
        texts.append(decoded(bytes(binary[at + 4 : at + 4 + length])))
        at += 4 + length
    return texts


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
