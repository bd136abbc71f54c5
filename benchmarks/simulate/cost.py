"""How long a batch takes: ``a + b rows + c rows length + d rows length^2`` seconds on one thread, fitted to the machine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks.stats import percentile

#: A measured batch: rows, length, seconds.
Point = tuple[int, int, float]


@dataclass(frozen=True)
class Cost:
    """The four numbers; ``alone``: the part of its time that a batch takes which has every core; ``error``: the fit's, relative."""

    a: float
    b: float
    c: float
    d: float
    alone: float = 1.0
    error: float = 0.0

    def seconds(self, rows: int, length: int, *, alone: bool = False) -> float:
        """The time of a batch of so many rows, padded to ``length``."""
        whole = self.a + rows * (self.b + self.c * length + self.d * length * length)
        return whole * self.alone if alone else whole

    def write(self, path: Path) -> None:
        """As JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")


#: Fitted to one core of an AMD EPYC (family 26) and the shipped model; ``--fit`` measures yours.
DEFAULT = Cost(a=0.0027, b=0.0001, c=0.00018, d=1.5e-7, alone=0.7)


def read(path: Path) -> Cost:
    """What `Cost.write` wrote, or the default where nobody did."""
    return Cost(**json.loads(path.read_text())) if path.exists() else DEFAULT


def fit(points: Sequence[Point], alone: float = 1.0) -> Cost:
    """The least squares of the relative errors: a short batch counts as much as a long one. No number is below 0."""
    left = list(range(4))
    while True:
        found = _solved([[_terms(point)[i] / point[2] for i in left] for point in points])
        negative = [i for i, value in zip(left, found, strict=True) if value < 0]
        if not negative:
            break
        left.remove(negative[0])
    numbers = dict(zip(left, found, strict=True))
    a, b, c, d = (numbers.get(i, 0.0) for i in range(4))
    cost = Cost(a, b, c, d, alone)
    errors = [abs(cost.seconds(rows, length) / seconds - 1) for rows, length, seconds in points]
    return replace(cost, error=percentile(errors, 0.5))


def _terms(point: Point) -> list[float]:
    rows, length, _ = point
    return [1.0, rows, rows * length, rows * length * length]


def _solved(matrix: list[list[float]]) -> list[float]:
    """The x for which ``matrix x`` is nearest to ones: the normal equations, by Gauss' elimination."""
    size = len(matrix[0])
    scale = [max(abs(row[i]) for row in matrix) for i in range(size)]
    rows = [[value / scale[i] for i, value in enumerate(row)] for row in matrix]
    square = [[sum(row[i] * row[j] for row in rows) for j in range(size)] + [sum(row[i] for row in rows)] for i in range(size)]
    for i in range(size):
        pivot = max(range(i, size), key=lambda row: abs(square[row][i]))
        square[i], square[pivot] = square[pivot], square[i]
        for j in range(size):
            if j != i:
                part = square[j][i] / square[i][i]
                square[j] = [x - part * y for x, y in zip(square[j], square[i], strict=True)]
    return [square[i][size] / square[i][i] / scale[i] for i in range(size)]
