"""Inputs are taken as the signature has them, whatever dimensions of size 1 a client sends along."""

from __future__ import annotations

import pytest

from agent.engines.layout import Layout
from tests.support.torchmodels import batchable_signature, signature
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


def test_no_rows_are_answered_without_a_model() -> None:
    """The outputs have no rows either, and every other dimension as with rows; no tokens do not matter then."""
    text = signature(
        "both",
        inputs=[("ids", "int64", ["n", "t"])],
        outputs=[("out", "float32", ["n", 2]), ("hidden", "float16", ["n", "t", 8])],
        batch="n",
        length="t",
    )
    layout = Layout(parse_signature(text))
    for length in (5, 0):
        outputs = layout.answer_to_no_rows(layout.fitted([ones(0, length)]))
        assert outputs == [Tensor("float32", (0, 2), b""), Tensor("float16", (0, length, 8), b"")]
    assert layout.answer_to_no_rows(layout.fitted([ones(1, 5)])) is None


@pytest.mark.parametrize("dims", [["n", "found"], [1]])
def test_no_rows_need_outputs_of_a_known_size(dims: list[int | str]) -> None:
    """Where an output has a dimension that no input tells, or no rows of its own, nothing but the model knows the answer."""
    text = signature("x", inputs=[("ids", "int64", ["n", "t"])], outputs=[("out", "float32", dims)], batch="n", length="t")
    layout = Layout(parse_signature(text))
    with pytest.raises(InvalidArgument, match=r"no rows \('n' is 0\); at least 1 is needed"):
        layout.answer_to_no_rows(layout.fitted([ones(0, 5)]))


def test_a_length_of_zero_is_refused() -> None:
    """No engine need run a text without tokens."""
    with pytest.raises(InvalidArgument, match=r"length 0 \('t'\); at least 1 is needed"):
        LAYOUT.fitted([ones(3, 0), ones(3, 0)])
