"""Files that a library cannot read, with a reason that the user can act on."""

from __future__ import annotations

from collections.abc import Callable

import onnx
import pytest

from export import onnxrun
from export.foreign import PlainSession
from export.refusal import Refused, one_line
from tests.support.onnxmodels import foreign
from vaccel_rpc.errors import InvalidArgument


def _newer_opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 99


def _newer_format(model: onnx.ModelProto) -> None:
    model.ir_version = 99


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (_newer_opset, "Current official support for domain ai.onnx is till opset "),
        (_newer_format, ": 99, max supported IR version: "),
    ],
)
def test_the_reason_of_onnxruntime_is_told(edit: Callable[[onnx.ModelProto], None], says: str) -> None:
    """And not the place in its sources, which comes first."""
    model = foreign()
    edit(model)
    for load in (lambda: PlainSession(model, None), lambda: onnxrun.session(model)):
        with pytest.raises(Refused) as refused:
            load()
        assert says in refused.value.message
        assert ".cc" not in refused.value.message


def test_our_own_reasons_are_not_cut() -> None:
    """Those of libraries are, at 200 characters."""
    long = "a " * 300 + "end"
    assert one_line(Refused(long)) == one_line(InvalidArgument(long)) == long
    assert len(one_line(ValueError(long))) == 200
