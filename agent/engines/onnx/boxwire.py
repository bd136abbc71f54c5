"""Messages between the agent and the process of a client's model: a JSON head, then the bytes of tensors.

A message begins with the length of its head, in four bytes (little-endian). The head is an object, whose
``tensors`` has for each request the dtype and the dimensions of each tensor; their bytes follow
in that order. Nothing here does I/O. What the process says is a stranger's: every function that
reads raises `BoxMessageError` for what it should not say.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from agent.engines.cost import Cost
from agent.engines.layout import Layout
from vaccel_common.modelfile import ModelFileError, Signature, parse_signature
from vaccel_common.records import record
from vaccel_rpc.errors import Internal, InvalidArgument, ResourceExhausted, RpcError
from vaccel_rpc.tensors import DTYPES, MAX_RANK, Tensor

#: The length of a head.
LENGTH = struct.Struct("<I")
#: Bytes of the head of an answer, at most.
MAX_HEAD = 1 << 20
#: Characters of an error's message, at most.
_LONGEST = 1000
#: Messages up to this size are sent in one piece.
_SMALL = 1 << 18
_COST = ("a", "b", "c", "d", "error")

Buffer = bytes | bytearray | memoryview
#: The dtype and the dimensions of a tensor; and of each request's tensors.
_Kind = tuple[str, tuple[int, ...]]
Kinds = Sequence[Sequence[_Kind]]


class BoxMessageError(ValueError):
    """A message is malformed, as the text says."""


@record
class BoxedModel:
    """What the process says of the model that it has loaded; see `agent.engines.contract.Program`."""

    signature: Signature
    joinable: bool
    cost: Cost


def message(head: Mapping[str, Any], requests: Sequence[Sequence[Tensor]] = ()) -> list[Buffer]:
    """A message, in the pieces in which it is sent."""
    kinds = [[(tensor.dtype, tensor.dims) for tensor in request] for request in requests]
    text = json.dumps({**head, "tensors": kinds}, separators=(",", ":")).encode()
    pieces: list[Buffer] = [LENGTH.pack(len(text)), text, *(tensor.data for request in requests for tensor in request)]
    return [b"".join(pieces)] if sum(map(len, pieces)) <= _SMALL else pieces


def head_of(text: bytes | bytearray) -> dict[str, Any]:
    """The head of a message, whose ``tensors`` are not yet checked."""
    try:
        head = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BoxMessageError(f"its head is not valid JSON: {error}"[:_LONGEST]) from None
    if not isinstance(head, dict):
        raise BoxMessageError("its head is not an object")
    return head


def kinds_of(head: Mapping[str, Any], most: int) -> list[list[_Kind]]:
    """The dtype and dimensions of each request's tensors, which have at most ``most`` bytes together."""
    requests = head.get("tensors")
    if not isinstance(requests, list) or not all(isinstance(request, list) for request in requests):
        raise BoxMessageError("its tensors are not lists")
    kinds = [[_kind(tensor) for tensor in request] for request in requests]
    if (size := size_of(kinds)) > most:
        raise BoxMessageError(f"its tensors have more than {most} bytes: {size:.3g}")
    return kinds


def size_of(kinds: Kinds) -> int:
    """The bytes of tensors."""
    return sum(_bytes(kind) for request in kinds for kind in request)


def tensors_of(kinds: Kinds, data: memoryview) -> list[list[Tensor]]:
    """Each request's tensors, which are parts of the ``data``."""
    at, requests = 0, []
    for request in kinds:
        tensors = []
        for kind in request:
            end = at + _bytes(kind)
            tensors.append(Tensor(*kind, data[at:end]))
            at = end
        requests.append(tensors)
    return requests


def describe(model: BoxedModel) -> dict[str, Any]:
    """The head that says what was loaded."""
    signature = {"format": 1, **asdict(model.signature)}
    return {
        "signature": signature,
        "joinable": model.joinable,
        "cost": {name: getattr(model.cost, name) for name in _COST} | {"pads": model.cost.pads},
    }


def model_of(head: Mapping[str, Any]) -> BoxedModel:
    """What was loaded."""
    try:
        signature = parse_signature(json.dumps(head.get("signature")))
    except ModelFileError as error:
        raise BoxMessageError(str(error)[:_LONGEST]) from None
    return BoxedModel(signature, head.get("joinable") is True and Layout(signature).joinable, _cost(head.get("cost")))


def error_head(error: RpcError) -> dict[str, Any]:
    """The head that says why a load or a run failed."""
    return {
        "error": {"code": error.code, "message": error.message, "errno": error.errno, "reason": getattr(error, "reason", None)}
    }


def error_of(head: Mapping[str, Any]) -> RpcError | None:
    """The error that a head says; None for none."""
    if "error" not in head:
        return None
    error = head["error"]
    if not isinstance(error, dict) or not isinstance(error.get("message"), str):
        raise BoxMessageError("its error has no message")
    text = " ".join(error["message"].split())[:_LONGEST]
    if error.get("code") == ResourceExhausted.code:
        number = error.get("errno")
        return ResourceExhausted(
            text,
            errno=number if type(number) is int and 0 < number < 256 else None,
            reason="memory" if error.get("reason") else None,
        )
    return InvalidArgument(text) if error.get("code") == InvalidArgument.code else Internal(text)


def seconds_of(head: Mapping[str, Any], most: float) -> float:
    """The time that a model took, which is at most ``most`` seconds."""
    return min(_number(head.get("seconds"), "seconds"), most)


def check_outputs(kinds: Kinds, signature: Signature, requests: int) -> None:
    """Raises `BoxMessageError` unless each of so many requests has the outputs that the signature states."""
    dtypes = [spec.dtype for spec in signature.outputs]
    if len(kinds) != requests or any([dtype for dtype, _ in outputs] != dtypes for outputs in kinds):
        raise BoxMessageError(f"{len(kinds)} answers to {requests} requests, or other outputs than {', '.join(dtypes)}")


def _kind(tensor: Any) -> _Kind:
    if not isinstance(tensor, list) or len(tensor) != 2 or not isinstance(tensor[0], str) or not isinstance(tensor[1], list):
        raise BoxMessageError("a tensor is not a dtype and dimensions")
    dtype, dims = tensor
    if dtype not in DTYPES:
        raise BoxMessageError(f"a tensor has the unknown dtype {dtype[:40]!r}")
    if len(dims) > MAX_RANK or not all(type(dim) is int and 0 <= dim < 1 << 63 for dim in dims):
        raise BoxMessageError("a tensor has impossible dimensions")
    return dtype, tuple(dims)


def _bytes(kind: _Kind) -> int:
    return math.prod(kind[1]) * DTYPES[kind[0]][1]


def _cost(said: Any) -> Cost:
    if not isinstance(said, dict):
        raise BoxMessageError("it states no cost")
    a, b, c, d, error = (_number(said.get(name), name) for name in _COST)
    return Cost(a, b, c, d, error, pads=said.get("pads") is not False)


def _number(value: Any, name: str) -> float:
    try:
        number = float(value) if type(value) in (int, float) else math.nan
    except OverflowError:
        number = math.inf
    if not 0 <= number < math.inf:
        raise BoxMessageError(f"{name} is not a number of at least 0")
    return number
