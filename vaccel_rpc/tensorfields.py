"""Encodes and decodes the two messages that carry tensors, a run's request and its reply.

Large data is sent and received without a copy. The bytes are the same as protobuf's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vaccel_rpc.tensors import DTYPES, Tensor
from vaccel_rpc.wire import Parts, cut, field_head

#: Numbers of the tensors' field in the request and in the reply, and of the data in a tensor.
IN_TENSORS, OUT_TENSORS, _DATA = 4, 1, 1
#: Bytes from which avoiding copies pays: below, protobuf's copies cost less than parsing in Python.
LARGE = 64 << 10


def encode(message: Any, field: int, make: Any, tensors: Sequence[Tensor]) -> Parts:
    """``message`` with tensors, of the message type ``make``, in its repeated ``field``."""
    parts: list[bytes | bytearray | memoryview] = []
    small: list[bytes] = [message.SerializeToString()]
    for tensor in tensors:
        kind, data = DTYPES[tensor.dtype][0], tensor.data
        if len(data) < LARGE:
            body = make(data=bytes(data), dims=tensor.dims, type=kind).SerializeToString()
            small += [field_head(field, len(body)), body]
        else:
            head = make(dims=tensor.dims, type=kind).SerializeToString() + field_head(_DATA, len(data))
            parts += [b"".join((*small, field_head(field, len(head) + len(data)), head)), data]
            small = []
    return [*parts, b"".join(small)] if small else parts


def decode(kind: Any, field: int, payload: bytes | bytearray | memoryview) -> tuple[Any, list[memoryview]]:
    """The message of type ``kind``; where it is large, without its tensors' data, which come
    separately.

    Raises ``DecodeError`` or `WireError` where the payload is not such a message.
    """
    if len(payload) < LARGE:
        return kind.FromString(payload), []
    rest, data = cut(payload, field, _DATA)
    return kind.FromString(rest), data
