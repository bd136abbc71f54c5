"""Protobuf's wire format, as far as large ``bytes`` fields need it: taken out, or put in, without copying them.

A model file travels as one bytes field two messages deep. Parsed the plain way it would exist once a message.
Source: protobuf.dev, "Encoding".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

#: A message as the pieces it is sent in; their concatenation is the message.
Parts = Sequence[bytes | bytearray | memoryview]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class WireError(ValueError):
    """The bytes are no protobuf message."""


def varint(value: int) -> bytes:
    """A base-128 number, 0 <= value < 2**64."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field_head(number: int, length: int) -> bytes:
    """What stands before ``length`` bytes of a bytes, string or message field."""
    return varint(number << 3 | _BYTES) + varint(length)


def size(parts: Parts) -> int:
    """Bytes of all parts together."""
    return sum(len(part) for part in parts)


def cut(message: bytes | bytearray | memoryview, *path: int) -> tuple[bytes, list[memoryview]]:
    """``message`` without the bytes field at ``path``, and that field's bytes, from where they lie.

    ``cut(request, 3)`` takes out field 3; ``cut(register, 2, 3)`` takes field 3 out of every field 2, one view for each (empty
    where it has none). As in protobuf the last of a repeated occurrence counts. Raises `WireError` for what is no message.
    """
    view = memoryview(message)
    rest, found = _cut(view, path)
    return b"".join(rest), found


def _cut(view: memoryview, path: tuple[int, ...]) -> tuple[list[bytes | memoryview], list[memoryview]]:
    number, deeper = path[0], path[1:]
    rest: list[bytes | memoryview] = []
    found: list[memoryview] = []
    for field, kind, start, inside, end in _fields(view):
        if field != number or kind != _BYTES:
            rest.append(view[start:end])
        elif not deeper:
            found = [view[inside:end]]
        else:
            inner, values = _cut(view[inside:end], deeper)
            rest += [field_head(field, size(inner)), *inner]
            found.append(values[-1] if values else view[:0])
    return rest, found


def _fields(view: memoryview) -> Iterator[tuple[int, int, int, int, int]]:
    """Each field's number, wire type, start, start of the value, end."""
    at = 0
    while at < len(view):
        start = at
        key, at = _read_varint(view, at)
        number, kind = key >> 3, key & 7
        inside = at
        if kind == _VARINT:
            _, at = _read_varint(view, at)
        elif kind == _BYTES:
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
            raise WireError("a number is cut short or too long")
        byte = view[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
