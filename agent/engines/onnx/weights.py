"""A model whose weights stay in its file, so that its other forms are small and share them.

Its large tensors become external data, whose file is the model's own: they are named by their places
in it and are not read. Source: onnx.proto of onnx 1.23.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx

from vaccel_common.onnxfile import GRAPH, FilePart, whole
from vaccel_common.protowire import BYTES
from vaccel_rpc.wire import field_head

#: Fields of ``GraphProto`` and ``TensorProto``.
_INITIALIZER, _RAW_DATA = 5, 9
#: Fields of ``TensorProto`` that say where its data are; others may state that they are in the message.
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
#: Bytes of a value that stays in the graph, at most: sizes and bounds, by which graphs are understood.
_SMALL = 1024


def without_weights(path: Path) -> bytes:
    """The model in a file, with the large tensors of its graph as external data in the file ``path.name``.

    Raises ``OSError`` where the file cannot be read, `WireError` where it is not a protobuf message.
    """
    with path.open("rb") as file:
        return _placed(whole(file), (GRAPH, _INITIALIZER, _RAW_DATA), path.name)


def _placed(message: FilePart, way: Sequence[int], name: str) -> bytes:
    """The message with a place in ``name`` for each large value at the end of the ``way``, the fields that lead there."""
    field, *inner = way
    parts: list[tuple[int, bytes | memoryview]] = []
    place = b""
    for number, kind, start, inside, end in message.fields():
        if (number, kind) != (field, BYTES) or end - inside <= _SMALL:
            parts.append((number, message.read(start, end)))
        elif inner:
            value = _placed(message.part(inside, end), inner, name)
            parts.append((number, field_head(field, len(value)) + value))
        else:
            place = _place(name, message.start + inside, end - inside).SerializeToString()
    if not place:
        return b"".join(data for _, data in parts)
    # Encoded messages are merged where they are joined; whatever said before where the data are is left out.
    return b"".join([*(data for number, data in parts if number not in (_EXTERNAL_DATA, _DATA_LOCATION)), place])


def _place(name: str, offset: int, length: int) -> onnx.TensorProto:
    place = onnx.TensorProto(data_location=onnx.TensorProto.EXTERNAL)
    for key, value in (("location", name), ("offset", str(offset)), ("length", str(length))):
        place.external_data.add(key=key, value=value)
    return place
