"""The metrics of the model card, computed from probabilities and true classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Resamples of a bootstrap, and the share of them that an interval holds.
_RESAMPLES, _SHARE = 10_000, 0.95


def report(scores: NDArray[np.float32], labels: NDArray[np.int64], names: Sequence[str]) -> dict[str, Any]:
    """Metrics of ``scores`` [n, classes] (rows sum to 1) against ``labels`` [n].

    Keys: ``texts``, ``accuracy``, ``macro_f1``, ``f1``, ``precision`` and ``recall`` (by class),
    ``confusion`` (rows: true class, columns: predicted class), ``calibration_error`` (see
    `calibration_error`), ``intervals`` (see `intervals`).
    """
    classes = len(names)
    confusion = np.bincount(labels * classes + scores.argmax(1), minlength=classes**2).reshape(classes, classes)
    figures = of_confusion(confusion)
    return {
        "texts": len(labels),
        "accuracy": _rounded(figures["accuracy"]),
        "macro_f1": _rounded(figures["macro_f1"]),
        **{key: dict(zip(names, map(_rounded, figures[key]), strict=True)) for key in ("f1", "precision", "recall")},
        "confusion": confusion.tolist(),
        "calibration_error": _rounded(calibration_error(scores, labels)),
        "intervals": intervals(confusion, names),
    }


def of_confusion(confusion: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """``accuracy`` and ``macro_f1`` [...], ``f1``, ``precision`` and ``recall`` [..., classes] of matrices [..., classes, classes].

    A class that was never predicted, or that no text belongs to, has 0.
    """
    right = np.diagonal(confusion, axis1=-2, axis2=-1).astype(float)
    true, predicted = confusion.sum(-1), confusion.sum(-2)
    f1 = 2 * right / np.maximum(true + predicted, 1)
    return {
        "accuracy": right.sum(-1) / confusion.sum((-2, -1)),
        "macro_f1": f1.mean(-1),
        "f1": f1,
        "precision": right / np.maximum(predicted, 1),
        "recall": right / np.maximum(true, 1),
    }


def intervals(confusion: NDArray[np.int64], names: Sequence[str], seed: int = 1) -> dict[str, Any]:
    """95 % bootstrap intervals (percentiles) of ``accuracy``, ``macro_f1`` and ``f1`` by class.

    All of them depend on the texts by the confusion matrix alone. Texts drawn with replacement give
    matrices of a multinomial distribution, which are drawn directly.
    """
    texts = int(confusion.sum())
    drawn = np.random.default_rng(seed).multinomial(texts, confusion.ravel() / texts, _RESAMPLES)
    figures = of_confusion(drawn.reshape(_RESAMPLES, *confusion.shape))
    f1 = [_interval(figures["f1"][:, i]) for i in range(len(names))]
    return {
        "accuracy": _interval(figures["accuracy"]),
        "macro_f1": _interval(figures["macro_f1"]),
        "f1": dict(zip(names, f1, strict=True)),
    }


def _interval(values: NDArray[np.float64]) -> list[float]:
    return [_rounded(value) for value in np.quantile(values, [(1 - _SHARE) / 2, (1 + _SHARE) / 2])]


def calibration_error(scores: NDArray[np.float32], labels: NDArray[np.int64], bins: int = 15) -> float:
    """Expected calibration error (Guo et al., 2017).

    It is the mean distance of confidence and accuracy over bins of equal width.
    """
    confidence, correct = scores.max(1), scores.argmax(1) == labels
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs(confidence[bin_of == b].sum() - correct[bin_of == b].sum()) for b in range(bins)]
    return float(sum(gaps) / len(labels))


def _rounded(value: Any) -> float:
    return round(float(value), 4)
