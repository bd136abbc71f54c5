"""Checks of the function's answers: a prediction's labels, scores and label, whatever the protocol
that carried it.

A fault has words that are the same each time it happens, so that faults can be counted, and details
that differ.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

#: How far the sum of the scores may be from 1: they are float32 values.
SUM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Fault:
    """What is wrong with an answer; ``detail`` has the values that differ from one answer to the
    next.
    """

    text: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.text}: {self.detail}" if self.detail else self.text


def prediction_fault(prediction: Any, labels: Sequence[str]) -> Fault | None:
    """What is wrong with one prediction as JSON has it; None where it is right.

    The order of the labels does not count.
    """
    if not isinstance(prediction, dict):
        return Fault("the prediction is not a JSON object")
    scores = prediction.get("scores")
    if not isinstance(scores, dict):
        return Fault("the prediction has no scores")
    if set(scores) != set(labels):
        return Fault("the scores' labels are not the model's", f"{', '.join(sorted(scores)) or 'none'}, not {', '.join(labels)}")
    fault = scores_fault(prediction.get("label"), list(scores), list(scores.values()))
    if fault is None and prediction.get("score") != max(scores.values()):
        return Fault("the score is not the best one", f"{prediction.get('score')}, not {max(scores.values())}")
    return fault


def scores_fault(label: Any, labels: Sequence[str], scores: Sequence[Any]) -> Fault | None:
    """What is wrong with a label and the scores of all labels, in the order of ``labels``; None
    where they are right.
    """
    if label not in labels:
        return Fault("the label is not one of the model's", repr(label))
    if not all(_is_probability(score) for score in scores):
        return Fault("a score is not between 0 and 1")
    # The only score is a sigmoid, as a cross-encoder has it.
    if len(labels) > 1 and abs(math.fsum(scores) - 1) > SUM_TOLERANCE:
        return Fault("the scores do not sum to 1", f"{math.fsum(scores):.4f}")
    if scores[labels.index(label)] < max(scores):
        return Fault("the label is not the one with the best score", repr(label))
    return None


def _is_probability(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
