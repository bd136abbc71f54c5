"""Checks of the function's answers to one text and to several. No network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from loadkit.answers import prediction_fault

#: How far two answers to one text may differ: other texts in its batch change the last digits.
_TOLERANCE = 1e-3


def fault_of_one(answer: Any, labels: Sequence[str]) -> str | None:
    """What is wrong with the answer to one text; None where it is right."""
    fault = prediction_fault(answer, labels)
    return str(fault) if fault else _model_fault(answer)


def fault_of_many(answer: Any, count: int, labels: Sequence[str]) -> str | None:
    """What is wrong with the answer to ``count`` texts; None where it is right."""
    predictions = answer.get("predictions") if isinstance(answer, dict) else None
    if not isinstance(predictions, list):
        return "the answer has no list of predictions"
    if len(predictions) != count:
        return f"the answer has {len(predictions)} predictions for {count} texts"
    for number, prediction in enumerate(predictions, 1):
        if fault := prediction_fault(prediction, labels):
            return f"text {number}: {fault}"
    return _model_fault(answer)


def _model_fault(answer: Any) -> str | None:
    model = answer.get("model")
    return None if isinstance(model, dict) and model.get("name") else "the answer does not name its model"


def difference(first: Any, second: Any) -> str | None:
    """How two right answers to one text differ; None where they agree but for the last digits."""
    if first["label"] != second["label"]:
        return f"the label was {first['label']}, then {second['label']}"
    largest = max(abs(first["scores"][label] - second["scores"][label]) for label in first["scores"])
    return f"the scores differ by {largest:.4f}" if largest > _TOLERANCE else None
