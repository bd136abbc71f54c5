"""Converts tensors between the RPC's form and torch's."""

from __future__ import annotations

from typing import Any

import torch

from agent.engines.arrays import Array, from_array
from vaccel_rpc.errors import Unimplemented
from vaccel_rpc.tensors import DTYPES, Tensor

_TYPES = {name: getattr(torch, name) for name in DTYPES}
_KNOWN = frozenset(_TYPES.values())


def to_torch(tensor: Tensor) -> torch.Tensor:
    """The tensor as torch's, without a copy where that is possible."""
    dtype, data = _TYPES[tensor.dtype], tensor.data
    if not len(data):
        return torch.empty(tensor.dims, dtype=dtype)
    # frombuffer needs writable memory, and kernels need aligned numbers. Anything else is copied,
    # as small tensors are.
    if isinstance(data, memoryview) and not data.readonly:
        raw = torch.frombuffer(data, dtype=torch.uint8)
        if raw.data_ptr() % dtype.itemsize == 0:
            return raw.view(dtype).reshape(tensor.dims)
    return torch.frombuffer(bytearray(data), dtype=dtype).reshape(tensor.dims)


def to_array(tensor: torch.Tensor) -> Array:
    """The tensor as an array, without a copy.

    Raises `Unimplemented` for a dtype that vAccel does not have.
    """
    if tensor.dtype not in _KNOWN:
        raise Unimplemented(f"an output is {str(tensor.dtype).removeprefix('torch.')}; vAccel has only {', '.join(DTYPES)}")
    array: Array = tensor.detach().numpy()
    return array


def from_torch(tensor: torch.Tensor) -> Tensor:
    """The tensor as the RPC's. Raises `Unimplemented` for a dtype that vAccel does not have."""
    return from_array(to_array(tensor))


def flat(outputs: Any) -> list[torch.Tensor]:
    """A model's return value as a list of tensors.

    Raises `Unimplemented` for anything else than tensors.
    """
    if isinstance(outputs, torch.Tensor):
        return [outputs]
    if isinstance(outputs, dict):
        outputs = list(outputs.values())
    if isinstance(outputs, list | tuple):
        return [tensor for output in outputs for tensor in flat(output)]
    raise Unimplemented(
        f"an output is {type(outputs).__name__}; only tensors, and lists, tuples and dicts of tensors, can be sent"
    )
