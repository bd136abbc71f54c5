"""Many measurements as few numbers: percentiles, a median and its spread."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


def percentile(values: Iterable[float], part: float) -> float:
    """The least of the values that at least ``part`` (above 0, at most 1) of them do not exceed (nearest rank); NaN of none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(part * len(ordered) - 1e-9) - 1)] if ordered else math.nan


@dataclass(frozen=True)
class Spread:
    """A median, and the least and the most of what it was made of."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of the values that are numbers; NaN of none."""
        known = [value for value in values if not math.isnan(value)]
        return cls(statistics.median(known), min(known), max(known)) if known else cls(math.nan, math.nan, math.nan)

    def over(self, other: float) -> Spread:
        """Each number over another: a ratio."""
        return Spread(self.median / other, self.least / other, self.most / other)
