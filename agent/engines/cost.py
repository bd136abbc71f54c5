"""How long a batch takes: ``a + b rows + c rows length + d rows length^2`` seconds.

The four numbers are fitted to measured times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from agent.engines.buckets import Buckets

#: The smallest fixed cost, as a fraction of the fastest batch.
_MIN_FIXED = 0.02
#: A measured batch: rows, length, seconds.
Point = tuple[int, int, float]


@dataclass(frozen=True, slots=True)
class Cost:
    """The four numbers, in seconds; ``error``: the relative error of the fit's median point.

    ``pads``: whether padding takes as long as tokens; else only in the last term, which is attention's.
    """

    a: float
    b: float
    c: float
    d: float
    error: float = 0.0
    pads: bool = True

    def seconds(self, rows: int, length: int, tokens: int | None = None) -> float:
        """The seconds that a batch of ``rows`` takes, each padded to ``length``.

        ``tokens``: of all rows, without padding; None: no row has any.
        """
        if self.pads or tokens is None:
            tokens = rows * length
        return self.a + self.b * rows + self.c * tokens + self.d * rows * length * length

    def __str__(self) -> str:
        a, b, c, d = (1000 * value for value in (self.a, self.b, self.c, self.d))
        return f"{a:.3g} + rows * ({b:.2g} + {c:.3g} * length + {d:.2g} * length^2) ms"


#: The cost of a model of which nothing is known: every batch takes the same time.
UNKNOWN = Cost(1.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SteppedCost(Cost):
    """The cost of a model whose batches are padded to ``buckets``: one takes what its bucket takes."""

    buckets: Buckets

    def seconds(self, rows: int, length: int, tokens: int | None = None) -> float:
        """See `Cost.seconds`."""
        return Cost.seconds(self, *self.buckets.shape(rows, length), tokens)

    # A dataclass would have one of its own.
    __str__ = Cost.__str__


def stepped(cost: Cost, buckets: Buckets) -> SteppedCost:
    """The same cost, of the shapes in which batches run."""
    return SteppedCost(cost.a, cost.b, cost.c, cost.d, cost.error, buckets=buckets)


def fit(points: Sequence[Point]) -> Cost:
    """The cost with the least squares of relative errors: short batches weigh as much as long ones.

    No coefficient is negative.
    """
    lengths = len({length for _, length, _ in points})
    terms = [0, 1, 2, 3][: 1 + min(3, lengths)]
    while True:
        coefficients = _solved([[_terms(point)[i] / point[2] for i in terms] for point in points])
        negative = [i for i, value in zip(terms, coefficients, strict=True) if value < 0]
        if not negative:
            break
        # The highest degree first: the lower terms were fitted too low to make up for it.
        terms.remove(negative[-1])
    numbers = dict(zip(terms, coefficients, strict=True))
    a, b, c, d = (numbers.get(i, 0.0) for i in range(4))
    # Every batch has a fixed cost: noise that hides it must not turn batching off.
    cost = Cost(max(a, _MIN_FIXED * min(seconds for _, _, seconds in points)), b, c, d)
    errors = [abs(cost.seconds(rows, length) / seconds - 1) for rows, length, seconds in points]
    return replace(cost, error=median(errors))


def _terms(point: Point) -> list[float]:
    rows, length, _ = point
    return [1.0, rows, rows * length, rows * length * length]


def _solved(matrix: list[list[float]]) -> list[float]:
    """The least-squares x of ``matrix x = 1``, by the normal equations and Gaussian elimination."""
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
