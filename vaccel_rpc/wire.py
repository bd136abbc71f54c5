"""The part of protobuf's wire format that large ``bytes`` fields need: they are not copied.

A model file is sent as one bytes field, two messages deep. Parsed by protobuf, it would exist once
for each message. Source: protobuf.dev, "Encoding".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vaccel_common.protowire import BYTES, WireError, fields

#: A message in pieces; their concatenation is the message.
Parts = Sequence[bytes | bytearray | memoryview]

#: Fields that `cut` goes through. Messages with large fields have a few; millions of small ones
#: would keep an event loop busy for minutes.
MAX_FIELDS = 1 << 16


def varint(value: int) -> bytes:
    """A number as a base-128 varint, 0 <= value < 2**64."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field_head(number: int, length: int) -> bytes:
    """The tag and length that precede a bytes, string or message field."""
    return varint(number << 3 | BYTES) + varint(length)


def nested(outer: int, fields: bytes, inner: int, data: bytes | memoryview) -> list[bytes | memoryview]:
    """The field ``outer``, a message that has the encoded ``fields`` and, in its field ``inner``,
    ``data``, which is not copied.
    """
    head = fields + field_head(inner, len(data))
    return [field_head(outer, len(head) + len(data)) + head, data]


def size(parts: Parts) -> int:
    """Bytes of all parts together."""
    return sum(len(part) for part in parts)


def cut(message: bytes | bytearray | memoryview, *path: int) -> tuple[bytes, list[memoryview]]:
    """``message`` without the bytes field at ``path``, and views of that field's bytes.

    ``cut(request, 3)`` takes out field 3; ``cut(register, 2, 3)`` takes field 3 out of every field
    2, with one view for each (empty where it has none). As in protobuf, the last of several
    occurrences counts. Raises `WireError` where ``message`` is not valid, or has more than
    `MAX_FIELDS` fields.
    """
    view = memoryview(message)
    rest, blobs = _cut(view, path, iter(range(MAX_FIELDS)))
    return b"".join(rest), blobs


def _cut(view: memoryview, path: tuple[int, ...], left: Iterator[int]) -> tuple[list[bytes | memoryview], list[memoryview]]:
    number, deeper = path[0], path[1:]
    rest: list[bytes | memoryview] = []
    blobs: list[memoryview] = []
    for field, kind, start, inside, end in fields(view):
        if next(left, None) is None:
            raise WireError(f"more than {MAX_FIELDS} fields")
        if field != number or kind != BYTES:
            rest.append(view[start:end])
        elif not deeper:
            blobs = [view[inside:end]]
        else:
            inner, values = _cut(view[inside:end], deeper, left)
            rest += [field_head(field, size(inner)), *inner]
            blobs.append(values[-1] if values else view[:0])
    return rest, blobs
