"""How a shadow's outputs are compared with the answer's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from agent.agreement import agreement
from vaccel_common.interface import ModelInterface, interface_of, parse_interface
from vaccel_common.modelfile import Extras, ProblemType, Signature, TensorSpec
from vaccel_rpc.tensors import Tensor, from_values

IDS, LOGITS = TensorSpec("ids", "int64", ("n", "t")), TensorSpec("logits", "float32", ("n", 2))


def signature(problem_type: ProblemType) -> Signature:
    return Signature("m", problem_type, None, (IDS,), (LOGITS,), "n", "t")


def rows(*values: Sequence[float]) -> list[Tensor]:
    return [from_values("float32", (len(values), len(values[0])), [value for row in values for value in row])]


SINGLE, MULTI, REGRESSION = (
    signature(kind) for kind in ("single_label_classification", "multi_label_classification", "regression")
)


@pytest.mark.parametrize(
    ("kind", "live", "other", "labels", "difference"),
    [
        (SINGLE, rows((2, 0)), rows((2, 0)), True, 0.0),
        (SINGLE, rows((math.log(3), 0)), rows((0, 0)), True, 0.25),
        (SINGLE, rows((math.log(3), 0)), rows((0, math.log(3))), False, 0.5),
        (SINGLE, rows((9, 0), (0, 9)), rows((9, 0), (9, 0)), False, 0.99975),
        (SINGLE, rows((5, 0)), rows((1005, 1000)), True, 0.0),
        (MULTI, rows((math.log(3), -5)), rows((0, -5)), True, 0.25),
        (MULTI, rows((1, 1)), rows((1, -1)), False, 0.46212),
        (MULTI, rows((-1000, 1000)), rows((-1000, 1000)), True, 0.0),
        (REGRESSION, rows((1, 2)), rows((1.5, -2)), True, 4.0),
    ],
)
def test_labels_and_scores_are_compared(
    kind: Signature, live: list[Tensor], other: list[Tensor], labels: bool, difference: float
) -> None:
    """As clients make them of logits: the best label, or those from a half on; of all rows the largest difference."""
    compared = agreement(kind, live, other)
    assert compared is not None
    assert compared.labels == labels
    assert compared.difference == pytest.approx(difference, abs=1e-4)


@pytest.mark.parametrize(
    ("kind", "live", "other"),
    [
        (None, rows((1, 2)), rows((1, 2))),
        (SINGLE, [], rows((1, 2))),
        (SINGLE, rows((1, 2)), rows((1, 2, 3))),
        (SINGLE, [from_values("float32", (2,), (1, 2))] * 1, [from_values("float32", (2,), (1, 2))]),
        (SINGLE, rows((1, 2)), rows((1, math.nan))),
    ],
)
def test_what_cannot_be_compared_is_none(kind: Signature | None, live: list[Tensor], other: list[Tensor]) -> None:
    """No signature, no outputs, other shapes, or numbers that are not finite."""
    assert agreement(kind, live, other) is None


EXTRAS = Extras(b"{}", ["a", "b"], SINGLE, None)


def test_an_interface_is_what_clients_have() -> None:
    """Tokenizer, labels and signature; the name in the signature is not a part of it."""
    own = interface_of(EXTRAS)
    assert own.differences(interface_of(replace(EXTRAS, signature=replace(SINGLE, name="other")))) == []
    changed = replace(EXTRAS, tokenizer=b"{ }", labels=["b", "a"], signature=replace(SINGLE, max_length=8))
    assert own.differences(interface_of(changed)) == ["tokenizer", "labels", "signature"]
    bare = interface_of(Extras(None, None, SINGLE, None))
    assert (own.differences(bare), own.contradictions(bare)) == (["tokenizer", "labels"], [])


def test_an_interface_travels_as_text() -> None:
    """Parts that are unknown, or that are no pairs, are skipped."""
    own = interface_of(EXTRAS)
    assert parse_interface(str(own)) == own
    assert parse_interface(f"{own} colour=red nonsense") == own
    assert parse_interface("") == ModelInterface() == interface_of(Extras(None, None, None, None))
