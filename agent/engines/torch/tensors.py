"""Tensors as they travel, and as torch has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from vaccel_rpc.errors import Unimplemented
from vaccel_rpc.tensorfields import LARGE
from vaccel_rpc.tensors import DTYPES, Tensor

_TYPES = {name: getattr(torch, name) for name in DTYPES}
_NAMES = {dtype: name for name, dtype in _TYPES.items()}


def to_torch(tensor: Tensor) -> torch.Tensor:
    """The same memory as torch's, where that can be."""
    dtype, data = _TYPES[tensor.dtype], tensor.data
    if not len(data):
        return torch.empty(tensor.dims, dtype=dtype)
    # frombuffer wants memory it may write to, and a kernel numbers where they may lie: else a copy, as of small tensors anyway.
    if isinstance(data, memoryview) and not data.readonly:
        raw = torch.frombuffer(data, dtype=torch.uint8)
        if raw.data_ptr() % dtype.itemsize == 0:
            return raw.view(dtype).reshape(tensor.dims)
    return torch.frombuffer(bytearray(data), dtype=dtype).reshape(tensor.dims)


def from_torch(tensor: torch.Tensor) -> Tensor:
    """As it travels. Raises `Unimplemented` for a dtype that vAccel has not."""
    name = _NAMES.get(tensor.dtype)
    if name is None:
        raise Unimplemented(f"an output is {str(tensor.dtype).removeprefix('torch.')}; vAccel has only {', '.join(DTYPES)}")
    flat = tensor.detach().contiguous().reshape(-1).view(torch.uint8) if tensor.dim() else tensor.reshape(1).view(torch.uint8)
    raw: Any = flat.numpy()
    return Tensor(name, tuple(tensor.shape), memoryview(raw) if raw.nbytes >= LARGE else raw.tobytes())


def flat(outputs: Any) -> list[torch.Tensor]:
    """What a model returned, as a list of tensors. Raises `Unimplemented` for what cannot travel."""
    if isinstance(outputs, torch.Tensor):
        return [outputs]
    if isinstance(outputs, dict):
        outputs = list(outputs.values())
    if isinstance(outputs, list | tuple):
        return [tensor for output in outputs for tensor in flat(output)]
    raise Unimplemented(f"an output is {type(outputs).__name__}; only tensors, and lists, tuples and dicts of them, can travel")


def difference(ones: Sequence[Tensor], others: Sequence[Tensor]) -> float:
    """The most by which any of the outputs differ."""
    return max(_distance(one, other) for one, other in zip(ones, others, strict=True))


def _distance(one: Tensor, other: Tensor) -> float:
    if one.dims != other.dims:
        return float("inf")
    a, b = to_torch(one).double(), to_torch(other).double()
    return float((a - b).abs().max()) if a.numel() else 0.0
