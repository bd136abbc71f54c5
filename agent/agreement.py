"""Whether two models say the same of a request: their labels, and how far their scores differ. A pure function of their outputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vaccel_common.modelfile import Signature
from vaccel_common.scores import SCORES
from vaccel_rpc.tensors import Tensor, to_values

#: The score from which a label of several is given.
_GIVEN = 0.5


@dataclass(frozen=True)
class Agreement:
    """``labels``: whether every row has the same. ``difference``: the largest between two scores."""

    labels: bool
    difference: float


def agreement(signature: Signature | None, live: Sequence[Tensor], other: Sequence[Tensor]) -> Agreement | None:
    """The agreement of two models in their first outputs, rows of logits; None where these cannot be compared.

    Scores follow from logits by the signature's problem type, as for clients. Of a regression only
    the difference says something.
    """
    pair = [outputs[0] for outputs in (live, other) if outputs]
    if signature is None or len(pair) != 2 or pair[0].dims != pair[1].dims or len(pair[0].dims) != 2 or not pair[0].dims[1]:
        return None
    score, label = SCORES[signature.problem_type], _LABEL[signature.problem_type]
    labels, difference = True, 0.0
    for one, two in zip(_rows(pair[0]), _rows(pair[1]), strict=True):
        if not all(map(math.isfinite, (*one, *two))):
            return None
        scores = score(one), score(two)
        labels = labels and label(scores[0]) == label(scores[1])
        difference = max(difference, *(abs(a - b) for a, b in zip(*scores, strict=True)))
    return Agreement(labels, difference)


def _rows(tensor: Tensor) -> list[list[float]]:
    values, width = [float(value) for value in to_values(tensor)], tensor.dims[1]
    return [values[start : start + width] for start in range(0, len(values), width)]


def _best(scores: Sequence[float]) -> object:
    return max(range(len(scores)), key=scores.__getitem__)


def _given(scores: Sequence[float]) -> object:
    return [score >= _GIVEN for score in scores]


#: What of the scores is a label, by the signature's problem type.
_LABEL: dict[str, Callable[[Sequence[float]], object]] = {
    "single_label_classification": _best,
    "multi_label_classification": _given,
    "regression": lambda _: None,
}
