"""Protobuf's wire format, as little of it as the peers need: messages are lists of (field number, value)."""

from __future__ import annotations

from collections.abc import Iterable

Value = int | bytes | str
Fields = dict[int, list[int | bytes]]


def varint(number: int) -> bytes:
    """Seven bits a byte, lowest first; a negative number as the 64 bits of its two's complement."""
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def message(*fields: tuple[int, Value]) -> bytes:
    """The fields in the order of the arguments: integers as varints, text and bytes with their length before them."""
    return b"".join(_field(number, value) for number, value in fields)


def _field(number: int, value: Value) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def packed(numbers: Iterable[int]) -> bytes:
    """The value of a repeated integer field in proto3's packed form."""
    return b"".join(varint(number) for number in numbers)


def unpacked(data: bytes) -> list[int]:
    """The integers of a packed field, each taken as int64."""
    numbers, at = [], 0
    while at < len(data):
        number, at = _varint_at(data, at)
        numbers.append(signed(number))
    return numbers


def signed(number: int) -> int:
    """A 64-bit varint as int64."""
    return number - (1 << 64) if number >> 63 else number


def decode(data: bytes) -> Fields:
    """All values of each field in order, integers unsigned. Raises ``ValueError`` where the bytes are no message."""
    fields: Fields = {}
    at = 0
    while at < len(data):
        key, at = _varint_at(data, at)
        value, at = _value_at(data, at, key & 7)
        fields.setdefault(key >> 3, []).append(value)
    return fields


def _value_at(data: bytes, at: int, kind: int) -> tuple[int | bytes, int]:
    if kind == 0:
        return _varint_at(data, at)
    if kind not in (1, 2, 5):
        raise ValueError(f"wire type {kind} at byte {at}")
    length = {1: 8, 5: 4}.get(kind, 0)
    if kind == 2:
        length, at = _varint_at(data, at)
    if at + length > len(data):
        raise ValueError(f"a field of {length} bytes at byte {at} of {len(data)}")
    return data[at : at + length], at + length


def _varint_at(data: bytes, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ValueError("the bytes end within a varint")
        number |= (data[at] & 0x7F) << shift
        at += 1
        if not data[at - 1] & 0x80:
            return number, at
    raise ValueError(f"a varint of more than 10 bytes ends at byte {at}")


def integer(fields: Fields, number: int, default: int = 0) -> int:
    """The last value of an int64 field; ``default`` where it is absent."""
    value = fields.get(number, [default])[-1]
    if not isinstance(value, int):
        raise ValueError(f"field {number} holds {value!r}, an integer was expected")
    return signed(value)


def blob(fields: Fields, number: int) -> bytes:
    """The last value of a bytes field; empty where it is absent."""
    return blobs(fields, number)[-1] if number in fields else b""


def blobs(fields: Fields, number: int) -> list[bytes]:
    """All values of a repeated bytes, text or message field."""
    values = [value for value in fields.get(number, []) if isinstance(value, bytes)]
    if len(values) != len(fields.get(number, [])):
        raise ValueError(f"field {number} holds an integer, bytes were expected")
    return values


def text(fields: Fields, number: int) -> str:
    """A text field."""
    return blob(fields, number).decode()
