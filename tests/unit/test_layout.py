"""Inputs are taken as the signature has them, whatever dimensions of size 1 a client sends along."""

from __future__ import annotations

import pytest

from agent.engines.layout import Layout
from tests.support.torchmodels import batchable_signature
from vaccel_common.modelfile import parse_signature
from vaccel_rpc.errors import InvalidArgument
from vaccel_rpc.tensors import Tensor, from_values

LAYOUT = Layout(parse_signature(batchable_signature("sums")))


def ones(*dims: int) -> Tensor:
    count = 1
    for dim in dims:
        count *= dim
    return from_values("int64", dims, [1] * count)


@pytest.mark.parametrize("dims", [(3, 5), (3, 1, 5), (3, 1, 1, 5)])
def test_inner_dimensions_of_size_one_are_left_out(dims: tuple[int, ...]) -> None:
    """A mask as encoders have it, [n, 1, t] or [n, 1, 1, t], is the mask [n, t]."""
    inputs = LAYOUT.fitted([ones(3, 5), ones(*dims)])
    assert [tensor.dims for tensor in inputs] == [(3, 5), (3, 5)]
    assert inputs[1].data == ones(3, 5).data


@pytest.mark.parametrize("dims", [(1, 1, 1), (1, 1, 1, 1)])
def test_one_text_of_one_token(dims: tuple[int, ...]) -> None:
    """The outer dimensions stay, whatever their size."""
    assert LAYOUT.fitted([ones(1, 1), ones(*dims)])[1].dims == (1, 1)


@pytest.mark.parametrize("dims", [(3, 2, 5), (1, 3, 5), (3, 5, 1), (15,), (3, 1, 4), (5, 1, 3), ()])
def test_other_dimensions_are_refused(dims: tuple[int, ...]) -> None:
    """The error names what was expected and what came."""
    with pytest.raises(InvalidArgument, match=r"input 'mask': expected int64 \['n', 't'\], got int64"):
        LAYOUT.fitted([ones(3, 5), ones(*dims)])
