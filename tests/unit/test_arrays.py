"""Requests are joined into one batch, and its outputs split, as numpy arrays."""

from __future__ import annotations

import numpy as np
import pytest

from agent.engines import arrays
from agent.engines.layout import Layout
from vaccel_common.modelfile import Signature, TensorSpec
from vaccel_rpc.tensorfields import LARGE
from vaccel_rpc.tensors import DTYPES, Tensor, from_values, to_values


def layout(dims: tuple[str | int, ...], *, pad: float = 9, output: tuple[str | int, ...] | None = None) -> Layout:
    """A model whose only input has these dimensions, and whose output has the same or others."""
    specs = TensorSpec("x", "int32", dims, pad), TensorSpec("y", "int32", output or dims, 0)
    return Layout(Signature("m", "regression", None, specs[:1], specs[1:], batch="n", length="t"))


@pytest.mark.parametrize(
    ("dims", "requests", "joined"),
    [
        (("n", "t"), [(1, 2), (1, 3)], [[0, 1, 9], [0, 1, 2]]),
        (("n", "t"), [(2, 1), (1, 2)], [[0, 9], [1, 9], [0, 1]]),
        (("t", "n"), [(2, 1), (3, 1)], [[0, 0], [1, 1], [9, 2]]),
        (("n", 2), [(1, 2), (2, 2)], [[0, 1], [0, 1], [2, 3]]),
        (("n", 1, "t"), [(1, 1, 2), (1, 1, 1)], [[[0, 1]], [[0, 9]]]),
        (("n", "t", 2), [(1, 1, 2), (1, 2, 2)], [[[0, 1], [9, 9]], [[0, 1], [2, 3]]]),
    ],
)
def test_requests_are_joined(dims: tuple[str | int, ...], requests: list[tuple[int, ...]], joined: list[object]) -> None:
    """Along the batch dimension, padded along the length, wherever the signature has the two; and each
    request gets its own back.
    """
    model = layout(dims)
    inputs = [[from_values("int32", shape, range(int(np.prod(shape))))] for shape in requests]
    (batch,) = arrays.join(model, inputs)
    assert batch.tolist() == joined
    shapes = [model.shape(request) for request in inputs]
    assert arrays.split(model, [batch], shapes) == inputs


def test_an_output_without_a_length_is_split_by_rows() -> None:
    """Such as a classifier's logits."""
    model = layout(("n", "t"), output=("n", 3))
    inputs = [[from_values("int32", shape, range(4))] for shape in ((2, 2), (1, 4))]
    outputs = arrays.split(model, [np.arange(9, dtype=np.int32).reshape(3, 3)], [model.shape(request) for request in inputs])
    assert [(part.dims, to_values(part)) for (part,) in outputs] == [((2, 3), [0, 1, 2, 3, 4, 5]), ((1, 3), [6, 7, 8])]


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_passes(dtype: str) -> None:
    """Also float16, and a tensor without dimensions."""
    tensor = Tensor(dtype, (2, 1), bytes(range(2 * DTYPES[dtype][1])))
    assert arrays.from_array(arrays.to_array(tensor)) == tensor
    assert arrays.from_array(np.zeros((), dtype)).dims == ()


def test_a_large_array_is_not_copied() -> None:
    """Its tensor is a view of it."""
    array = np.zeros((2, LARGE), np.uint8)
    tensor = arrays.from_array(array)
    array[0, 0] = 7
    assert tensor.data[0] == 7
    assert bytes(arrays.from_array(array[:, ::2]).data) == array[:, ::2].tobytes(), "what is not contiguous is"
