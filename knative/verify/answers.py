"""Whether the function answers right: shapes, labels, probabilities. No network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

#: The labels of the model that ships.
LABELS = ("hate-speech", "offensive-language", "neither")
#: Mild ones.
TEXTS = ("What a lovely day for a walk in the park", "The train was late again this morning", "See you at lunch")
_ROUNDING, _BATCHING = 1e-3, 1e-3  # scores are rounded for JSON; a text's neighbours in a batch change the last digits


def wrong_one(answer: Any, labels: Sequence[str]) -> str | None:
    """What is wrong with the answer to one text; None: nothing."""
    return _wrong(answer, labels) or _wrong_model(answer)


def wrong_many(answer: Any, count: int, labels: Sequence[str]) -> str | None:
    """What is wrong with the answer to several texts; None: nothing."""
    predictions = answer.get("predictions") if isinstance(answer, dict) else None
    if not isinstance(predictions, list):
        return "it has no list predictions"
    if len(predictions) != count:
        return f"it has {len(predictions)} predictions for {count} texts"
    found = (wrong and f"text {number}: {wrong}" for number, wrong in enumerate((_wrong(one, labels) for one in predictions), 1))
    return next(filter(None, found), None) or _wrong_model(answer)


def _wrong_model(answer: Any) -> str | None:
    model = answer.get("model")
    return None if isinstance(model, dict) and model.get("name") else "it does not name its model"


def _wrong(answer: Any, labels: Sequence[str]) -> str | None:
    if not isinstance(answer, dict):
        return "it is no JSON object"
    scores = answer.get("scores")
    if not isinstance(scores, dict) or not all(_is_share(score) for score in scores.values()):
        return "its scores are no probabilities"
    if set(scores) != set(labels):
        return f"its labels are {', '.join(sorted(scores)) or 'none'}, not {', '.join(labels)}"
    if not math.isclose(sum(scores.values()), 1, abs_tol=_ROUNDING * len(scores)):
        return f"its probabilities sum up to {sum(scores.values()):.4f}"
    label = answer.get("label")
    if label not in scores or scores[label] < max(scores.values()):
        return f"its label {label!r} is not the most probable one"
    if not _is_share(answer.get("score")) or not math.isclose(answer["score"], scores[label], abs_tol=_ROUNDING):
        return "its score is not its label's"
    return None


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def different(first: Any, second: Any) -> str | None:
    """How two right answers to one text differ; None: in nothing that matters."""
    if first["label"] != second["label"]:
        return f"{first['label']}, then {second['label']}"
    far = max(abs(first["scores"][label] - second["scores"][label]) for label in first["scores"])
    return f"scores that differ by {far:.4f}" if far > _BATCHING else None
