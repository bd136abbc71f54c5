"""Many measurements as few numbers: percentiles by nearest rank, a median and its spread."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest of the values that is not below a ``share`` of them (above 0, at most 1); NaN of
    no values.
    """
    ordered = sorted(values)
    return ordered[_rank(len(ordered), share)] if ordered else math.nan


def percentile_of_counts(counts: Mapping[int, int], share: float) -> int:
    """The same of values that come with how often each was seen; 0 where nothing was seen."""
    rank, seen = _rank(sum(counts.values()), share), 0
    for value in sorted(counts):
        seen += counts[value]
        if seen > rank:
            return value
    return 0


def _rank(count: int, share: float) -> int:
    """The index in the sorted values.

    The subtrahend makes up for shares such as 0.07 that binary fractions exceed.
    """
    return max(0, math.ceil(share * count - 1e-9) - 1)


def milliseconds(seconds: Iterable[float]) -> dict[str, float]:
    """The median and the 99th percentile of durations, as records of measurements have them."""
    durations = list(seconds)
    return {"median_ms": 1000 * percentile(durations, 0.5), "p99_ms": 1000 * percentile(durations, 0.99)}


@dataclass(frozen=True)
class Spread:
    """A median with the minimum and maximum of the values that it was computed from."""

    median: float
    minimum: float
    maximum: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of those values that are numbers; NaN where none is."""
        known = [value for value in values if not math.isnan(value)]
        return cls(statistics.median(known), min(known), max(known)) if known else cls(math.nan, math.nan, math.nan)

    def over(self, other: float) -> Spread:
        """Each number divided by ``other``."""
        return Spread(self.median / other, self.minimum / other, self.maximum / other)
