"""How a model's logits become scores: for the function that answers, and for the agent that compares models."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence


def softmax(logits: Sequence[float]) -> list[float]:
    """exp(x_i) / sum exp(x_j), with the largest taken off first so that nothing overflows."""
    largest = max(logits)
    powers = [math.exp(x - largest) for x in logits]
    total = sum(powers)
    return [power / total for power in powers]


def sigmoid(logits: Sequence[float]) -> list[float]:
    """1 / (1 + exp(-x)) of each, in the form that does not overflow."""
    return [1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x)) for x in logits]


#: How logits become scores, by the signature's problem type.
SCORES: dict[str, Callable[[Sequence[float]], list[float]]] = {
    "single_label_classification": softmax,
    "multi_label_classification": sigmoid,
    "regression": list,
}
