"""ONNX files: the entries beside the graph, in the model's ``metadata_props``. No package is needed.

An ONNX file is one protobuf message, ``ModelProto``, and nothing in front of it tells it from other
files: it is known by its fields. Weights are never read here, so that a file of any size costs no
memory. Source: onnx.proto of onnx 1.23.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO

from vaccel_common.protowire import BYTES, HEAD, VARINT, WireError, head

#: Fields of ``ModelProto``, and the wire type of each.
IR_VERSION, GRAPH, OPSET, METADATA = 1, 7, 8, 14
_TYPES = {IR_VERSION: VARINT, GRAPH: BYTES, OPSET: BYTES, METADATA: BYTES}
_NEEDED = {IR_VERSION: "ir_version", GRAPH: "graph", OPSET: "opset_import"}
#: Fields of an entry of ``metadata_props``.
_KEY, _VALUE = 1, 2

#: Outermost fields of a file, at most; real ones have a few dozen.
MAX_FIELDS = 1 << 16


class OnnxFileError(ValueError):
    """The file is not an ONNX model, or an entry of it is malformed; the message says how."""


class FilePart:
    """The bytes from ``start`` to ``end`` of a file, read as they are needed; places are counted from ``start``.

    Not mapped into memory: a file of the store that is cut short meanwhile would end the process.
    """

    def __init__(self, file: BinaryIO, start: int, end: int) -> None:
        self._file, self.start, self._end = file, start, end

    def fields(self) -> Iterator[tuple[int, int, int, int, int]]:
        """`vaccel_common.protowire.fields` of these bytes. Raises ``OSError`` too."""
        at, size = 0, self._end - self.start
        while at < size:
            start = at
            number, kind, inside, end = head(self.read(start, min(start + HEAD, size)), 0)
            inside, at = start + inside, start + end
            if at > size:
                raise WireError(f"field {number} ends at byte {at} of {size}")
            yield number, kind, start, inside, at

    def part(self, start: int, end: int) -> FilePart:
        """The bytes from ``start`` to ``end`` of these."""
        return FilePart(self._file, self.start + start, self.start + end)

    def read(self, start: int, end: int) -> memoryview:
        """The bytes from ``start`` to ``end``. Raises `WireError` where the file has fewer."""
        data = os.pread(self._file.fileno(), end - start, self.start + start)
        if len(data) < end - start:
            raise WireError(f"the file ends at byte {self.start + start + len(data)}")
        return memoryview(data)


def whole(file: BinaryIO) -> FilePart:
    """All of a file's bytes."""
    return FilePart(file, 0, os.fstat(file.fileno()).st_size)


def outermost(model: FilePart) -> Iterator[tuple[int, int, int]]:
    """Number, start of the value and end of each field of a model.

    Raises `OnnxFileError` after the last field where one is missing that every model has.
    """
    seen: set[int] = set()
    try:
        for count, (number, kind, _, inside, end) in enumerate(model.fields()):
            if count == MAX_FIELDS:
                raise OnnxFileError(f"more than {MAX_FIELDS} outermost fields")
            if _TYPES.get(number, kind) != kind:
                raise OnnxFileError(f"field {number} has wire type {kind}")
            seen.add(number)
            yield number, inside, end
    except WireError as error:
        raise OnnxFileError(str(error)) from None
    if missing := [name for number, name in _NEEDED.items() if number not in seen]:
        raise OnnxFileError(f"it has no {' and no '.join(missing)}")


def read_entries(path: str | Path, names: Collection[str]) -> dict[str, bytes]:
    """The entries of ``metadata_props`` with these names.

    Raises `OnnxFileError` where the file is not an ONNX model or has two entries of a name,
    ``OSError`` where it cannot be read.
    """
    entries: dict[str, bytes] = {}
    with Path(path).open("rb") as file:
        model = whole(file)
        for number, inside, end in outermost(model):
            if number == METADATA:
                _add(entries, model.part(inside, end), names)
    return entries


def is_onnx(path: str | Path) -> bool:
    """Whether the file has the outermost fields of an ONNX model; not whether it can be run."""
    try:
        read_entries(path, ())
    except (OnnxFileError, OSError):
        return False
    return True


def _add(entries: dict[str, bytes], entry: FilePart, names: Collection[str]) -> None:
    """Adds an entry, if it has one of the names; as in protobuf, the last key and value count."""
    bounds = {_KEY: (0, 0), _VALUE: (0, 0)}
    longest = max(map(len, names), default=0)  # a long key is not read
    try:
        for number, kind, _, inside, end in entry.fields():
            if kind == BYTES and number in bounds:
                bounds[number] = inside, end
        start, end = bounds[_KEY]
        key = bytes(entry.read(start, min(end, start + longest + 1))).decode(errors="replace")
        if key not in names:
            return
        if key in entries:
            raise OnnxFileError(f"the entry {key} is there twice")
        entries[key] = bytes(entry.read(*bounds[_VALUE]))
    except WireError as error:
        raise OnnxFileError(f"an entry of metadata_props: {error}") from None
