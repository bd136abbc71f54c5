"""Tensors of the RPC: bytes, dimensions and a type number; little-endian, in C order.

No numpy, no torch.
"""

from __future__ import annotations

import math
import struct
import sys
from array import array
from collections.abc import Iterable, Sequence

from vaccel_common.records import record
from vaccel_rpc.errors import InvalidArgument

#: Name -> (number on the wire, bytes per element, code of array.array), the same in all dialects.
DTYPES: dict[str, tuple[int, int, str]] = {
    "uint8": (1, 1, "B"),
    "int8": (2, 1, "b"),
    "int16": (3, 2, "h"),
    "int32": (4, 4, "i"),
    "int64": (5, 8, "q"),
    "float16": (6, 2, ""),
    "float32": (7, 4, "f"),
}
_NAMES = {number: name for name, (number, _, _) in DTYPES.items()}

#: Dimensions of a tensor, at most; more are a mistake or an attack.
MAX_RANK = 16


@record
class Tensor:
    """``data`` holds ``prod(dims)`` elements of ``dtype`` (a key of `DTYPES`)."""

    dtype: str
    dims: tuple[int, ...]
    data: bytes | bytearray | memoryview


def dtype_name(number: int, where: str) -> str:
    """The dtype with that number.

    Raises `InvalidArgument`, naming ``where`` and the valid numbers.
    """
    name = _NAMES.get(number)
    if name is None:
        expected = ", ".join(f"{n} ({name})" for n, name in _NAMES.items())
        raise InvalidArgument(f"{where}: unknown data type {number}; expected one of {expected}")
    return name


def check(tensor: Tensor, where: str) -> None:
    """Raises `InvalidArgument`, naming ``where``, unless dims are valid and the data has their
    size.
    """
    if len(tensor.dims) > MAX_RANK:
        raise InvalidArgument(f"{where}: {len(tensor.dims)} dimensions; at most {MAX_RANK}")
    for dim in tensor.dims:
        if dim < 0:
            raise InvalidArgument(f"{where}: dims {list(tensor.dims)} contain a negative size")
    need = math.prod(tensor.dims) * DTYPES[tensor.dtype][1]
    if need != len(tensor.data):
        raise InvalidArgument(f"{where}: {tensor.dtype} {list(tensor.dims)} needs {need} bytes, the data has {len(tensor.data)}")


def from_values(dtype: str, dims: Sequence[int], values: Iterable[int | float]) -> Tensor:
    """A tensor of Python numbers in C order. Raises ``OverflowError`` for a number that the dtype does not have."""
    if dtype == "float16":
        halves = tuple(map(float, values))
        return Tensor(dtype, tuple(dims), struct.pack(f"<{len(halves)}e", *halves))
    numbers = array(DTYPES[dtype][2], values)
    if sys.byteorder == "big":
        numbers.byteswap()
    return Tensor(dtype, tuple(dims), numbers.tobytes())


def to_values(tensor: Tensor) -> list[int] | list[float]:
    """The elements of a tensor as Python numbers in C order."""
    return list(_numbers(tensor))


def is_finite(tensor: Tensor) -> bool:
    """Whether no element is NaN or infinite."""
    # No sum of finite numbers of these dtypes leaves the range of Python's, which have 64 bits.
    return not tensor.dtype.startswith("float") or math.isfinite(sum(_numbers(tensor)))


def _numbers(tensor: Tensor) -> Sequence[int] | Sequence[float]:
    if tensor.dtype == "float16":
        # The module array has no half precision.
        return struct.unpack(f"<{len(tensor.data) // 2}e", tensor.data)
    numbers: array[int] | array[float] = array(DTYPES[tensor.dtype][2])
    numbers.frombytes(tensor.data)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
