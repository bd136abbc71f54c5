"""The fields of a protobuf message, without its schema and without copies.

Source: protobuf.dev, "Encoding".
"""

from __future__ import annotations

from collections.abc import Iterator

#: Wire types. Fields of ``BYTES`` are bytes, texts, messages and packed numbers.
VARINT, BYTES = 0, 2
_FIXED64, _FIXED32 = 1, 5

#: Bytes of a field before a value of bytes, at most: two varints.
HEAD = 20


class WireError(ValueError):
    """The bytes are not a valid protobuf message."""


def fields(view: memoryview) -> Iterator[tuple[int, int, int, int, int]]:
    """Each field's number, wire type, start, start of the value, end; of a message that is not
    valid, those before the fault, and then it raises `WireError`.
    """
    at = 0
    while at < len(view):
        start = at
        number, kind, inside, at = head(view, start)
        if at > len(view):
            raise WireError(f"field {number} ends at byte {at} of {len(view)}")
        yield number, kind, start, inside, at


def head(view: memoryview, at: int) -> tuple[int, int, int, int]:
    """Number, wire type, start of the value and end of the field at ``at``.

    At most `HEAD` bytes of it are read: a value of bytes may go on after the end of ``view``.
    Raises `WireError` where there is no field.
    """
    key, inside = _read_varint(view, at)
    number, kind = key >> 3, key & 7
    # Protobuf's own parsers drop the bits above these, and so see another field.
    if not number or key >= 1 << 32:
        raise WireError(f"field number {number}")
    if kind == VARINT:
        return number, kind, inside, _read_varint(view, inside)[1]
    if kind == BYTES:
        length, inside = _read_varint(view, inside)
        return number, kind, inside, inside + length
    if kind not in (_FIXED64, _FIXED32):
        raise WireError(f"wire type {kind} in field {number}")
    return number, kind, inside, inside + (8 if kind == _FIXED64 else 4)


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
