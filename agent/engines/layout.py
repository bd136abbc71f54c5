"""A request by its model's signature: whether its inputs fit, its length, how outputs are split."""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Protocol, Self, TypeVar

from vaccel_common.modelfile import Signature, TensorSpec
from vaccel_rpc.errors import InvalidArgument
from vaccel_rpc.tensors import Tensor, from_values

#: Dimensions of a tensor; dtype and dimensions of each input.
_Dims = tuple[int, ...]
_Kinds = tuple[tuple[str, _Dims], ...]
#: Different dimensions of requests of which it is remembered that they fit, and how.
_KNOWN = 1024


@dataclass(frozen=True, slots=True)
class Shape:
    """How a request fits others.

    Requests of equal ``key`` may be joined (None: runs alone): their ``rows`` are concatenated, and
    their ``length`` is padded to the longest.
    """

    key: Hashable | None
    length: int = 0
    rows: int = 1


class Joined(Protocol):
    """An array or a tensor of an engine's own library."""

    def __getitem__(self, place: tuple[slice, ...], /) -> Self:
        """The entries within a slice of each of the first dimensions."""


T = TypeVar("T", bound=Joined)


class Layout:
    """A signature's batch and length dimensions.

    ``input_dims``: the positions of both in each input.
    """

    def __init__(self, signature: Signature) -> None:
        self.signature = signature
        self.input_dims = [(_at(spec, signature.batch) or 0, _at(spec, signature.length)) for spec in signature.inputs]
        # Requests of one model have few different dimensions.
        self._check_kinds, self._shape_of = lru_cache(_KNOWN)(self._checked), lru_cache(_KNOWN)(self._shape)

    @property
    def joinable(self) -> bool:
        """Whether requests may be joined: every input and output has the batch dimension."""
        batch = self.signature.batch
        return batch is not None and all(batch in spec.dims for spec in (*self.signature.inputs, *self.signature.outputs))

    def fitted(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """The inputs, with the dimensions of the signature.

        Some clients send a mask as [n, 1, t] or [n, 1, 1, t] where the signature has [n, t]: of an
        input with too many dimensions, those of size 1 between the first and the last are left out.
        Raises `InvalidArgument`, naming the tensor, where the inputs do not fit the signature.
        """
        specs = self.signature.inputs
        if len(inputs) != len(specs):
            names = ", ".join(spec.name for spec in specs)
            raise InvalidArgument(f"the model has {len(specs)} inputs ({names}), the request has {len(inputs)}")
        fitted = [
            tensor if len(tensor.dims) <= len(spec.dims) else _squeezed(tensor, len(spec.dims))
            for spec, tensor in zip(specs, inputs, strict=True)
        ]
        self._check_kinds(tuple([(tensor.dtype, tensor.dims) for tensor in fitted]))
        return fitted

    def _checked(self, kinds: _Kinds) -> None:
        """Raises `InvalidArgument` unless inputs of these dtypes and dimensions fit the signature."""
        sizes: dict[str, int] = {}
        for spec, kind in zip(self.signature.inputs, kinds, strict=True):
            _check(spec, *kind, sizes)
        length = sizes.get(self.signature.length or "", 0)
        if self.signature.max_length and length > self.signature.max_length:
            raise InvalidArgument(f"length {length} exceeds the model's maximum of {self.signature.max_length}")
        if self.signature.length in sizes and not length and self._row_count([dims for _, dims in kinds]) != 0:
            raise InvalidArgument(f"the inputs have length 0 ({self.signature.length!r}); at least 1 is needed")

    def answer_to_no_rows(self, inputs: Sequence[Tensor]) -> list[Tensor] | None:
        """The outputs for `fitted` inputs of no rows, which no model need run for; None where there are rows.

        Raises `InvalidArgument` where the signature does not say what the outputs' dimensions are.
        """
        if self._row_count([tensor.dims for tensor in inputs]) != 0:
            return None
        sizes = {
            dim: size
            for spec, tensor in zip(self.signature.inputs, inputs, strict=True)
            for dim, size in zip(spec.dims, tensor.dims, strict=True)
        }
        specs = self.signature.outputs
        # A dimension of which no input tells the size is left as it is.
        dims = [tuple(sizes.get(dim, dim) for dim in spec.dims) for spec in specs]
        outputs = [
            Tensor(spec.dtype, tuple(dim for dim in known if isinstance(dim, int)), b"")
            for spec, known in zip(specs, dims, strict=True)
            if 0 in known and not any(isinstance(dim, str) for dim in known)
        ]
        if len(outputs) < len(specs):
            raise InvalidArgument(f"the inputs have no rows ({self.signature.batch!r} is 0); at least 1 is needed")
        return outputs

    def _row_count(self, inputs: Sequence[_Dims]) -> int | None:
        """The size of the batch dimension; None where the signature names none, or no input has it."""
        for spec, dims in zip(self.signature.inputs, inputs, strict=True):
            if (at := _at(spec, self.signature.batch)) is not None:
                return dims[at]
        return None

    def shape(self, inputs: Sequence[Tensor]) -> Shape:
        """How a request of at least one row and token fits others of the same model."""
        return self._shape_of(tuple([tensor.dims for tensor in inputs]))

    def _shape(self, inputs: tuple[_Dims, ...]) -> Shape:
        rows = inputs[0][self.input_dims[0][0]]
        length = max((dims[at] for dims, (_, at) in zip(inputs, self.input_dims, strict=True) if at is not None), default=0)
        other = tuple(
            tuple(size for at, size in enumerate(dims) if at not in places)
            for dims, places in zip(inputs, self.input_dims, strict=True)
        )
        return Shape(other, max(1, length), rows)

    @cached_property
    def divisible(self) -> bool:
        """Whether a request can be run in parts of fewer rows.

        It must be joinable, the batch dimension must come first everywhere, and every dimension of
        an output must be known from the inputs: else it might differ between parts.
        """
        inputs, outputs = self.signature.inputs, self.signature.outputs
        input_dims = {dim for spec in inputs for dim in spec.dims}
        first = all(spec.dims[0] == self.signature.batch for spec in (*inputs, *outputs))
        return self.joinable and first and all(isinstance(dim, int) or dim in input_dims for spec in outputs for dim in spec.dims)

    def divide(self, inputs: Sequence[Tensor], rows: int) -> list[list[Tensor]]:
        """A divisible request in nearly equal parts of at most ``rows`` rows, without copies."""
        total = inputs[0].dims[0]
        count = -(-total // rows)
        bounds = [total * i // count for i in range(count + 1)]
        return [[_rows(tensor, start, end) for tensor in inputs] for start, end in itertools.pairwise(bounds)]

    def unite(self, parts: Sequence[Sequence[Tensor]]) -> list[Tensor]:
        """The outputs of a divided request, from those of its parts."""
        return [
            Tensor(
                of_parts[0].dtype,
                (sum(part.dims[0] for part in of_parts), *of_parts[0].dims[1:]),
                b"".join(part.data for part in of_parts),
            )
            for of_parts in zip(*parts, strict=True)
        ]

    def split(self, outputs: Sequence[T], shapes: Sequence[Shape]) -> list[list[T]]:
        """Each request's share of joined outputs, without the padding."""
        parts: list[list[T]] = [[] for _ in shapes]
        for spec, output in zip(self.signature.outputs, outputs, strict=True):
            batch, length, at = _at(spec, self.signature.batch) or 0, _at(spec, self.signature.length), 0
            for share, shape in zip(parts, shapes, strict=True):
                place = [slice(None)] * (1 + max(batch, length or 0))
                place[batch] = slice(at, at + shape.rows)
                if length is not None:
                    place[length] = slice(shape.length)
                share.append(output[tuple(place)])
                at += shape.rows
        return parts

    def example(self, length: int, rows: int = 1, spread: int = 2) -> list[Tensor]:
        """Inputs of about ``length`` to try the model with: small numbers, and masks of ones.

        ``spread``: how many different numbers there are, from 1 on; those that are not whole lie
        between 1 and 2.
        """
        sizes = {self.signature.batch: rows, self.signature.length: min(length, self.signature.max_length or length)}
        return [self._example(spec, sizes, spread) for spec in self.signature.inputs]

    def _example(self, spec: TensorSpec, sizes: Mapping[str | None, int], spread: int) -> Tensor:
        dims = [dim if isinstance(dim, int) else sizes.get(dim, 1) for dim in spec.dims]
        count = math.prod(dims)
        if spec.dtype == "float16":
            return Tensor("float16", tuple(dims), b"\x00\x38" * count)
        unit = 1 / (spread - 1) if spec.dtype == "float32" else 1
        values = [1 + unit * i for i in range(spread)]
        if "type" in spec.name or "mask" in spec.name:
            values = [0 if "type" in spec.name else 1]
        data = bytes(from_values(spec.dtype, [len(values)], values).data)
        # Repeated as bytes: there may be hundreds of millions.
        whole, rest = divmod(count, len(values))
        return Tensor(spec.dtype, tuple(dims), data * whole + data[: rest * (len(data) // len(values))])


def _squeezed(tensor: Tensor, rank: int) -> Tensor:
    """The tensor with ``rank`` dimensions, if enough of its inner ones have size 1, else itself."""
    dims = list(tensor.dims)
    for at in range(len(dims) - 2, 0, -1):
        if dims[at] == 1 and len(dims) > rank:
            del dims[at]
    return Tensor(tensor.dtype, tuple(dims), tensor.data) if len(dims) == rank else tensor


def _check(spec: TensorSpec, dtype: str, dims: _Dims, sizes: dict[str, int]) -> None:
    mismatch = f"input {spec.name!r}: expected {spec.dtype} {list(spec.dims)}, got {dtype} {list(dims)}"
    if dtype != spec.dtype or len(dims) != len(spec.dims):
        raise InvalidArgument(mismatch)
    for dim, size in zip(spec.dims, dims, strict=True):
        if isinstance(dim, int) and dim != size:
            raise InvalidArgument(mismatch)
        if isinstance(dim, str) and sizes.setdefault(dim, size) != size:
            raise InvalidArgument(f"{mismatch}; {dim!r} is {sizes[dim]} in another input")


def _rows(tensor: Tensor, start: int, end: int) -> Tensor:
    data = memoryview(tensor.data)
    size = len(data) // tensor.dims[0]
    return Tensor(tensor.dtype, (end - start, *tensor.dims[1:]), data[start * size : end * size])


def _at(spec: TensorSpec, dim: str | None) -> int | None:
    return spec.dims.index(dim) if dim is not None and dim in spec.dims else None
