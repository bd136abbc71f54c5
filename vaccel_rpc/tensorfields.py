"""The two messages that tensors travel in, a run's request and its reply, in both dialects: large data is sent from where it lies and
left where it was received. What a message holds is the same as if protobuf had made it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vaccel_rpc.tensors import DTYPES, Tensor
from vaccel_rpc.wire import Parts, cut, field_head

#: Fields of the request and of the reply, and the data of a tensor.
IN_TENSORS, OUT_TENSORS, _DATA = 4, 1, 1
#: Bytes from which it pays: below, protobuf's own copies cost less than cutting a message up in Python.
LARGE = 64 << 10


def encode(message: Any, field: int, make: Any, tensors: Sequence[Tensor]) -> Parts:
    """``message`` with the tensors in its repeated ``field``, of the message type ``make``."""
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
    """The message of type ``kind``, and, where it is large, each tensor's data, which is then not in the message.

    Raises ``DecodeError`` or `WireError` for what is no such message.
    """
    if len(payload) < LARGE:
        return kind.FromString(payload), []
    rest, data = cut(payload, field, _DATA)
    return kind.FromString(rest), data
