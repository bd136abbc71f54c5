"""A model whose weights stay in its file, so that its other forms are small and share them.

Its large tensors become external data, whose file is the model's own: they are named by their places
in it and are not read. Source: onnx.proto of onnx 1.23.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx

from vaccel_common.onnxfile import GRAPH, FilePart, whole
from vaccel_common.protowire import BYTES
from vaccel_rpc.wire import field_head

#: Fields of ``GraphProto`` and ``TensorProto``.
_INITIALIZER, _RAW_DATA = 5, 9
#: Bytes of a tensor that stays in the graph, at most: sizes and bounds, by which graphs are understood.
_SMALL = 1024


def without_weights(path: Path) -> bytes:
    """The model in a file, with the large tensors of its graph as external data in the file ``path.name``.

    Raises ``OSError`` where the file cannot be read, `WireError` where it is not a protobuf message.
    """
    with path.open("rb") as file:
        return b"".join(_model(whole(file), path.name))


def _model(model: FilePart, name: str) -> Iterator[bytes]:
    for number, kind, start, inside, end in model.fields():
        if number == GRAPH and kind == BYTES:
            graph = b"".join(_graph(model.part(inside, end), name))
            yield field_head(GRAPH, len(graph)) + graph
        else:
            yield bytes(model.read(start, end))


def _graph(graph: FilePart, name: str) -> Iterator[bytes]:
    for number, kind, start, inside, end in graph.fields():
        if number == _INITIALIZER and kind == BYTES and end - inside > _SMALL:
            tensor = b"".join(_tensor(graph.part(inside, end), name))
            yield field_head(_INITIALIZER, len(tensor)) + tensor
        else:
            yield bytes(graph.read(start, end))


def _tensor(tensor: FilePart, name: str) -> Iterator[bytes]:
    for number, kind, start, inside, end in tensor.fields():
        if number == _RAW_DATA and kind == BYTES and end - inside > _SMALL:
            # Encoded messages are merged where they are joined.
            yield _place(name, tensor.start + inside, end - inside).SerializeToString()
        else:
            yield bytes(tensor.read(start, end))


def _place(name: str, offset: int, length: int) -> onnx.TensorProto:
    place = onnx.TensorProto(data_location=onnx.TensorProto.EXTERNAL)
    for key, value in (("location", name), ("offset", str(offset)), ("length", str(length))):
        place.external_data.add(key=key, value=value)
    return place
