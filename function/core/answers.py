"""Predictions as the JSON that every way in answers with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from function.core.classifier import Item, Prediction
from function.core.options import Options
from function.core.problems import problem_of_text


def shown(item: Item, options: Options) -> dict[str, Any]:
    """One prediction with what the options select, or ``{"error": problem}`` for a text that has none."""
    if not isinstance(item, Prediction):
        return {"error": problem_of_text(item).body()}
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


def shown_alone(item: Item, options: Options) -> dict[str, Any]:
    """`shown` for a line, which names no model: with what ran, where that is not what was named."""
    return {**shown(item, options), **ran_as([item])}


def answer(items: list[Item], options: Options, model: dict[str, str | None], *, many: bool) -> dict[str, Any]:
    """The complete answer: one prediction, or ``{"predictions": [...]}``, with the model that made them."""
    named = {**model, **ran_as(items)}
    if many:
        return {"predictions": [shown(item, options) for item in items], "model": named}
    return {**shown(items[0], options), "model": named}


def ran_as(items: Sequence[Item]) -> dict[str, str]:
    """What ran: ``sha256`` of the model, where the agent told it; ``precision`` and ``variant`` (its sha256) of the variant in its place.

    Nothing where the model is what it was named.
    """
    first = next((item for item in items if isinstance(item, Prediction)), None)
    if first is None:
        return {}
    variant = next((item.variant for item in items if isinstance(item, Prediction) and item.variant), None)
    told = {"sha256": first.model} if first.model else {}
    return told | ({"precision": variant.precision, "variant": variant.sha256} if variant else {})


def ranked(item: Prediction) -> list[str]:
    """The labels, best first."""
    return sorted(item.scores, key=lambda label: -item.scores[label])


def _scores(item: Prediction, options: Options) -> dict[str, float]:
    if options.top_k is None:
        return item.scores
    return {label: item.scores[label] for label in ranked(item)[: options.top_k]}
