"""The metrics of the model card, computed from probabilities and true classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score


def report(scores: NDArray[np.float32], labels: NDArray[np.int64], names: Sequence[str]) -> dict[str, Any]:
    """Metrics of ``scores`` [n, classes] (rows sum to 1) against ``labels`` [n].

    Keys: ``texts``, ``accuracy``, ``macro_f1``, ``f1`` (by class), ``confusion`` (rows: true class,
    columns: predicted class), ``calibration_error`` (see `calibration_error`).
    """
    predicted = scores.argmax(1)
    classes = list(range(len(names)))
    by_class = f1_score(labels, predicted, labels=classes, average=None, zero_division=0.0)
    return {
        "texts": len(labels),
        "accuracy": round(float(accuracy_score(labels, predicted)), 4),
        "macro_f1": round(float(np.mean(by_class)), 4),
        "f1": {name: round(float(value), 4) for name, value in zip(names, by_class, strict=True)},
        "confusion": confusion_matrix(labels, predicted, labels=classes).tolist(),
        "calibration_error": round(calibration_error(scores, labels), 4),
    }


def calibration_error(scores: NDArray[np.float32], labels: NDArray[np.int64], bins: int = 15) -> float:
    """Expected calibration error (Guo et al., 2017).

    It is the mean distance of confidence and accuracy over bins of equal width.
    """
    confidence, correct = scores.max(1), scores.argmax(1) == labels
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs(confidence[bin_of == b].sum() - correct[bin_of == b].sum()) for b in range(bins)]
    return float(sum(gaps) / len(labels))
