"""The goals of the closed loop, as ratios of figures of one run."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from benchmarks.comparison import EXACT, best, figure, int8, peers
from benchmarks.markdown import pick, table
from benchmarks.plan import Record
from benchmarks.results import Results
from loadkit.stats import Spread

#: Cores that other processes may use before the figures are called a sketch.
_QUIET = 0.1
_BOUNDS: Mapping[str, Callable[[float, float], bool]] = {"at least": operator.ge, "at most": operator.le, "below": operator.lt}


class Goal(NamedTuple):
    """A figure and its bound: ``at least``, ``at most`` or ``below`` a ``limit`` in ``unit``."""

    name: str
    measured: float
    bound: str
    limit: float
    unit: str = ""

    def row(self) -> tuple[str, str, str, str]:
        """What was measured, the goal, and whether it was met, which the exact figure decides."""
        met = _BOUNDS[self.bound](self.measured, self.limit)
        return (
            self.name,
            f"{self.measured:.2f}{self.unit}",
            f"{self.bound} {self.limit:g}{self.unit}",
            "met" if met else "**missed**",
        )


def goals(results: Results) -> str:
    """Every goal whose figures were measured."""
    records = results.records("throughput")
    every = [*_beside_torch(records), *_exact(records), *_int8(records), *_mixed(records)]
    rows = [goal.row() for goal in every if not math.isnan(goal.measured)]
    return table(("", "measured", "goal", ""), rows) + "\n\n" + _noise(records)


def _beside_torch(records: list[Record]) -> Iterator[Goal]:
    at_32 = figure(records, EXACT, "rate", 32)
    yield Goal("32 clients, of torch's best sorted rate", at_32 / _torch(records, "rate", "torch, sorted"), "at least", 0.85)
    yield Goal("128 clients, of the rate at 32", figure(records, EXACT, "rate", 128) / at_32, "at least", 1)
    more = figure(records, EXACT, "p50_ms", 1) - _torch(records, "p50_ms", "torch, batch 1")
    yield Goal("1 client, median beyond torch's batch 1", more, "at most", 3, " ms")


def _exact(records: list[Record]) -> Iterator[Goal]:
    others = peers(records, "exact")
    for clients in (8, 32):
        yield from _ratio(records, f"exact, {clients} clients: rate", EXACT, others, "rate", clients, "at least", 1.3)
    yield from _latencies(records, "exact", EXACT, others)


def _int8(records: list[Record]) -> Iterator[Goal]:
    ours, static, dynamic = int8(records), peers(records, "static"), peers(records, "dynamic")
    for clients in (8, 32):
        yield from _ratio(records, f"int8, {clients} clients: rate", ours, static, "rate", clients, "at least", 1.1)
    yield from _ratio(records, "int8, 32 clients: rate", ours, dynamic, "rate", 32, "at least", 1)
    yield from _latencies(records, "int8", ours, static + dynamic)


def _latencies(records: list[Record], kind: str, ours: str, others: list[str]) -> Iterator[Goal]:
    yield from _ratio(records, f"{kind}, 1 client: median", ours, others, "p50_ms", 1, "at most", 1)
    yield from _ratio(records, f"{kind}, 32 clients: p99", ours, others, "p99_ms", 32, "below", 1)


def _ratio(
    records: list[Record], name: str, ours: str, others: list[str], field: str, clients: int, bound: str, limit: float
) -> Iterator[Goal]:
    """``ours`` over the best of the ``others``, where both were measured."""
    if other := best(records, others, field, clients):
        yield Goal(f"{name} over {other.target}", figure(records, ours, field, clients) / other.value, bound, limit)


def _mixed(records: list[Record]) -> Iterator[Goal]:
    largest = Spread.of([record["largest"]["ms"] for record in records if record["target"] == "torch, sorted"]).median
    for clients in (8, 32):
        short = figure(records, EXACT, "short_p99_ms", clients, "mixed")
        name = f"mixed load, {clients} clients: short texts' p99 over the largest batch's time, {largest:.0f} ms"
        yield Goal(name, short / largest, "at most", 3)


def _torch(records: list[Record], field: str, target: str) -> float:
    return Spread.of(pick(records, field, target=target)).median


def _noise(records: list[Record]) -> str:
    others = Spread.of(pick(records, "others", load="single")).median
    judged = "" if others <= _QUIET else f": more than {_QUIET:g}, so the machine was not quiet and the figures are only a sketch"
    return f"Meanwhile everything else on the machine used {others:.2f} cores{judged}."
