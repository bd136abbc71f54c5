"""Joins requests into one batch and splits its outputs, as numpy arrays; no engine's library.

An array of a small request costs a fraction of a microsecond, where an engine's own tensors cost
several.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from agent.engines.layout import Layout, Shape
from vaccel_rpc.errors import Internal
from vaccel_rpc.tensorfields import LARGE
from vaccel_rpc.tensors import DTYPES, MAX_RANK, Tensor

Array = npt.NDArray[Any]

_DTYPES = {name: np.dtype(name) for name in DTYPES}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


def to_array(tensor: Tensor) -> Array:
    """The tensor as an array of its own bytes, which may be read-only."""
    return np.frombuffer(tensor.data, _DTYPES[tensor.dtype]).reshape(tensor.dims)


def from_array(array: Array) -> Tensor:
    """The array as a tensor of the RPC; a large one is not copied if it is contiguous.

    Raises ``KeyError`` for a dtype that vAccel does not have, and `Internal` for more dimensions than a
    client takes.
    """
    name = _NAMES[array.dtype]
    if array.ndim > MAX_RANK:
        raise Internal(f"an output has {array.ndim} dimensions; at most {MAX_RANK} are sent")
    if array.nbytes < LARGE:
        return Tensor(name, array.shape, array.tobytes())
    raw: Any = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return Tensor(name, array.shape, memoryview(raw))


def join(layout: Layout, requests: Sequence[Sequence[Tensor]]) -> list[Array]:
    """The inputs of several requests as one batch, each input padded to the longest."""
    return [_joined(layout, index, [to_array(request[index]) for request in requests]) for index in range(len(requests[0]))]


def _joined(layout: Layout, index: int, parts: list[Array]) -> Array:
    batch, length = layout.input_dims[index]
    if length is None:
        return np.concatenate(parts, batch)
    dims = list(parts[0].shape)
    dims[batch], dims[length] = sum(part.shape[batch] for part in parts), max(part.shape[length] for part in parts)
    joined = np.full(dims, layout.signature.inputs[index].pad, parts[0].dtype)
    row, place = 0, [slice(None)] * len(dims)
    for part in parts:
        end = row + part.shape[batch]
        place[batch], place[length] = slice(row, end), slice(part.shape[length])
        joined[tuple(place)] = part
        row = end
    return joined


def split(layout: Layout, outputs: Sequence[Array], shapes: Sequence[Shape]) -> list[list[Tensor]]:
    """Each request's share of the outputs of a batch, without the padding."""
    return [[from_array(part) for part in parts] for parts in layout.split(outputs, shapes)]


def difference(left: Sequence[Tensor], right: Sequence[Tensor]) -> float:
    """The largest absolute difference between two lists of outputs: infinite for other dimensions,
    NaN where one has it.
    """
    return float(np.max([_distance(a, b) for a, b in zip(left, right, strict=True)], initial=0.0))


def _distance(a: Tensor, b: Tensor) -> float:
    if a.dims != b.dims:
        return float("inf")
    with np.errstate(invalid="ignore"):  # infinity less infinity
        return float(np.abs(to_array(a).astype(np.float64) - to_array(b)).max(initial=0.0))
