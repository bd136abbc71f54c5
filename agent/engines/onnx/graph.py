"""What is in an ONNX file, found without loading it: operators, files of external data, counts.

Everything is visited where a parser might look: subgraphs, functions, training graphs, and of
fields that may occur once every occurrence. The weights are not read. Source: onnx.proto of onnx
1.23.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from vaccel_common.onnxfile import GRAPH, FilePart, OnnxFileError, outermost, whole
from vaccel_common.protowire import BYTES, VARINT, WireError, fields

#: Limits of a file: nodes of all graphs, graphs inside of graphs, and fields of all messages.
MAX_NODES, MAX_DEPTH, MAX_FIELDS = 100_000, 16, 4_000_000

#: Messages up to this size are read at once; names of operators and files are shorter than this.
_SMALL, _LONGEST = 1 << 16, 4096
_TRAINING, _FUNCTIONS = 20, 25
#: The number of a field -> what it holds, for each message that holds others.
_FIELDS = {
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "external"},
}
_OP_TYPE, _DOMAIN = 4, 7
_DATA_LOCATION = 14
_KEY, _VALUE = 1, 2

_Part = FilePart | memoryview


@dataclass
class Survey:
    """``operators``: the domain and name of each; ``is_external``: whether any tensor's data is not
    in the file; ``external``: where it is, as written; the others are numbers of these.
    """

    operators: set[tuple[str, str]] = field(default_factory=set)
    is_external: bool = False
    external: list[str] = field(default_factory=list)
    nodes: int = 0
    functions: int = 0
    training: int = 0


def survey(path: Path) -> Survey:
    """What is in the file.

    Raises `OnnxFileError` where it is not an ONNX model or exceeds a limit, ``OSError`` where it
    cannot be read.
    """
    with path.open("rb") as file:
        walk = _Walk()
        model = whole(file)
        try:
            for number, inside, end in outermost(model):
                kind = {GRAPH: "graph", _TRAINING: "training", _FUNCTIONS: "function"}.get(number)
                walk.survey.functions += kind == "function"
                walk.survey.training += kind == "training"
                if kind:
                    walk.message(kind, _part(model, inside, end), 0)
        except WireError as error:
            raise OnnxFileError(str(error)) from None
        return walk.survey


def external_files(path: Path) -> tuple[str, ...]:
    """The names of the files beside ``path`` that hold its external data, each once, sorted.

    They lead to files of the same folder or of folders in it, as far as names can tell: links are
    for the caller to follow. Raises `OnnxFileError` for any other name and for what is not ONNX,
    ``OSError`` where the file cannot be read.
    """
    return external_names(survey(path))


def external_names(found: Survey) -> tuple[str, ...]:
    """The same of a file with that in it. Raises `OnnxFileError` for a name that leads elsewhere."""
    return tuple(sorted({checked_location(location) for location in found.external}))


class _Walk:
    def __init__(self) -> None:
        self.survey = Survey()
        self._left = MAX_FIELDS

    def message(self, kind: str, part: _Part, depth: int) -> None:
        """Visits a message; ``depth``: the graphs around it."""
        if kind == "node":
            self._node(part)
        elif kind == "external":
            self._external(part)
        elif kind == "graph":
            depth += 1
            if depth > MAX_DEPTH:
                raise OnnxFileError(f"graphs are nested more than {MAX_DEPTH} deep")
        inside = _FIELDS.get(kind, {})
        for number, wire_type, start, end in self._fields(part):
            if wire_type == BYTES and number in inside:
                self.message(inside[number], _part(part, start, end), depth)
            elif wire_type == VARINT and kind == "tensor" and number == _DATA_LOCATION:
                self.survey.is_external |= bytes(_read(part, start, end)) != b"\0"

    def _node(self, node: _Part) -> None:
        self.survey.nodes += 1
        if self.survey.nodes > MAX_NODES:
            raise OnnxFileError(f"more than {MAX_NODES} nodes")
        texts = self._texts(node, _DOMAIN, _OP_TYPE)
        # Which of several counts is the parser's choice: all pairs are in the survey.
        self.survey.operators |= set(itertools.product(texts[_DOMAIN] or [""], texts[_OP_TYPE] or [""]))

    def _external(self, entry: _Part) -> None:
        self.survey.is_external = True
        texts = self._texts(entry, _KEY, _VALUE)
        if "location" in texts[_KEY]:
            self.survey.external += texts[_VALUE] or [""]

    def _texts(self, part: _Part, *numbers: int) -> dict[int, list[str]]:
        texts: dict[int, list[str]] = {number: [] for number in numbers}
        for number, wire_type, start, end in self._fields(part):
            if wire_type == BYTES and number in texts:
                if end - start > _LONGEST:
                    raise OnnxFileError(f"a name of {end - start} bytes; at most {_LONGEST}")
                texts[number].append(bytes(_read(part, start, end)).decode(errors="replace"))
        return texts

    def _fields(self, part: _Part) -> Iterator[tuple[int, int, int, int]]:
        for number, wire_type, _, inside, end in part.fields() if isinstance(part, FilePart) else fields(part):
            self._left -= 1
            if self._left < 0:
                raise OnnxFileError(f"more than {MAX_FIELDS} fields")
            yield number, wire_type, inside, end


def _part(part: _Part, start: int, end: int) -> _Part:
    if isinstance(part, memoryview):
        return part[start:end]
    return part.read(start, end) if end - start <= _SMALL else part.part(start, end)


def _read(part: _Part, start: int, end: int) -> memoryview:
    return part.read(start, end) if isinstance(part, FilePart) else part[start:end]


def checked_location(location: str) -> str:
    """The path of a file of external data in the model's folder. Raises `OnnxFileError` where it leads elsewhere."""
    path = PurePosixPath(location)
    # Of onnxruntime's own names, such as "*/_ORT_MEM_ADDR_/*", one is an address in memory.
    if not path.name or path.is_absolute() or {"..", "*"} & set(path.parts) or "\0" in location or "\\" in location:
        raise OnnxFileError(f"external data at {location[:100]!r}: a file of the model's own folder is expected")
    return str(path)
