"""The fields of a protobuf message, without its schema and without copies.

Source: protobuf.dev, "Encoding".
"""

from __future__ import annotations

from collections.abc import Iterator

#: Wire types. Fields of ``BYTES`` are bytes, texts, messages and packed numbers.
VARINT, BYTES = 0, 2
_FIXED64, _FIXED32 = 1, 5


class WireError(ValueError):
    """The bytes are not a valid protobuf message."""


def fields(view: memoryview) -> Iterator[tuple[int, int, int, int, int]]:
    """Each field's number, wire type, start, start of the value, end; of a message that is not
    valid, those before the fault, and then it raises `WireError`.
    """
    at = 0
    while at < len(view):
        start = at
        key, at = _read_varint(view, at)
        number, kind = key >> 3, key & 7
        inside = at
        if kind == VARINT:
            _, at = _read_varint(view, at)
        elif kind == BYTES:
            length, inside = _read_varint(view, at)
            at = inside + length
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        else:
            raise WireError(f"wire type {kind} in field {number}")
        if at > len(view) or not number:
            raise WireError(f"field {number} ends at byte {at} of {len(view)}")
        yield number, kind, start, inside, at


def _read_varint(view: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(view) or shift > 63:
            raise WireError("a varint is truncated or too long")
        byte = view[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
