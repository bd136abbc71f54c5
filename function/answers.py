"""Predictions -> the JSON that every way in answers with."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from function.classify import Prediction
from function.options import Options, Unusable
from function.problems import Problem


def shown(item: Prediction | Unusable, options: Options) -> dict[str, Any]:
    """One prediction as the options want it, or a bad text's ``{"error": problem}``."""
    if isinstance(item, Unusable):
        return {"error": Problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(item)).body()}
    answer: dict[str, Any] = {"label": item.label, "score": item.score, "scores": _scores(item, options), "tokens": item.tokens}
    if options.threshold is not None:
        answer["labels"] = [label for label in ranked(item) if item.scores[label] >= options.threshold]
    if options.logits:
        answer["logits"] = item.logits
    if item.truncated:
        answer["truncated"] = True
    if options.truncation == "window":
        answer["windows"] = item.windows
    return answer


def answer(items: list[Prediction | Unusable], options: Options, model: dict[str, str | None], *, many: bool) -> dict[str, Any]:
    """The whole answer: one prediction, or ``{"predictions": [...]}``, with the model that made them."""
    if many:
        return {"predictions": [shown(item, options) for item in items], "model": model}
    return {**shown(items[0], options), "model": model}


def ranked(item: Prediction) -> list[str]:
    """The labels, best first."""
    return sorted(item.scores, key=lambda label: -item.scores[label])


def _scores(item: Prediction, options: Options) -> dict[str, float]:
    if options.top_k is None:
        return item.scores
    return {label: item.scores[label] for label in ranked(item)[: options.top_k]}
