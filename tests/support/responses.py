"""Expected responses of a function, built without one."""

from __future__ import annotations

from typing import Any

from tests.support.functions import LABELS


def answer(scores: tuple[float, ...] = (0.1, 0.2, 0.7), **more: Any) -> dict[str, Any]:
    """The right response to a text with these scores, changed by ``more``."""
    best = LABELS[scores.index(max(scores))]
    return {"label": best, "score": max(scores), "scores": dict(zip(LABELS, scores, strict=True)), "tokens": 5, **more}
