"""The rules that are compared: which of the waiting requests run next, together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from agent.batching.packing import BatchLimits, pack
from agent.engines.cost import Cost
from agent.engines.layout import Shape


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request that waits since ``arrived`` seconds."""

    arrived: float
    shape: Shape


#: What waits (oldest first), the time, how many workers are free -> indices of what runs next.
Rule = Callable[[Sequence[Waiting], float, int], list[int]]


def share(waiting: Sequence[Waiting], limits: BatchLimits, free: int) -> BatchLimits:
    """No more rows than leave work for the other workers that are free: as `agent.batching.batcher` has it."""
    rows = -(-sum(one.shape.rows for one in waiting) // max(1, free))
    return replace(limits, rows=min(limits.rows, max(1, rows)))


def packed(cost: Cost, limits: BatchLimits) -> Rule:
    """The shipped rule: the oldest, and those nearest to it in length while it is quicker to run them together."""
    return lambda waiting, _, free: pack([one.shape for one in waiting], share(waiting, limits, free), cost)


def padded(rows: int, padding: float) -> Rule:
    """The oldest, and those nearest to it in length, while ``padding`` is no larger a part of the batch."""

    def rule(waiting: Sequence[Waiting], _: float, free: int) -> list[int]:
        most = share(waiting, BatchLimits(rows=rows), free).rows
        chosen, longest, tokens = [0], waiting[0].shape.length, waiting[0].shape.length
        for i in sorted(range(1, len(waiting)), key=lambda i: abs(waiting[i].shape.length - waiting[0].shape.length)):
            length = waiting[i].shape.length
            whole = (len(chosen) + 1) * max(longest, length)
            if len(chosen) < most and whole - tokens - length <= padding * whole:
                chosen.append(i)
                longest, tokens = max(longest, length), tokens + length
        return chosen

    return rule


def arrival(rows: int) -> Rule:
    """The oldest, whatever their lengths."""
    return lambda waiting, _, free: list(range(min(len(waiting), share(waiting, BatchLimits(rows=rows), free).rows)))


def window(size: int, rows: int) -> Rule:
    """The ``size`` oldest sorted by length; of the runs of neighbours that hold the oldest, the one with the least padding."""

    def rule(waiting: Sequence[Waiting], _: float, free: int) -> list[int]:
        ordered = _by_length(waiting, range(min(size, len(waiting))))
        count = min(len(ordered), share(waiting, BatchLimits(rows=rows), free).rows)
        return min(_runs(ordered, count), key=lambda run: _padding(waiting, run))

    return rule


def cheapest(cost: Cost, rows: int) -> Rule:
    """Of the runs of neighbours in length that hold the oldest, of any size, the one that takes least time for each row."""

    def rule(waiting: Sequence[Waiting], _: float, free: int) -> list[int]:
        ordered = _by_length(waiting, range(len(waiting)))
        most = min(len(ordered), share(waiting, BatchLimits(rows=rows), free).rows)
        runs = [run for count in range(1, most + 1) for run in _runs(ordered, count)]
        return min(runs, key=lambda run: cost.seconds(len(run), waiting[run[-1]].shape.length) / len(run))

    return rule


def shortest(cost: Cost, rows: int, bound: float) -> Rule:
    """The shortest first; one that has waited for ``bound`` seconds goes before them, with those nearest to it."""

    def rule(waiting: Sequence[Waiting], now: float, free: int) -> list[int]:
        limits = share(waiting, BatchLimits(rows=rows), free)
        if now - waiting[0].arrived >= bound:
            return pack([one.shape for one in waiting], limits, cost)
        return _by_length(waiting, range(len(waiting)))[: limits.rows]

    return rule


def all_rules(cost: Cost) -> dict[str, Rule]:
    """Name -> rule; the first is what ships."""
    shipped = BatchLimits()
    return {
        f"shipped (overhead {shipped.overhead:g})": packed(cost, shipped),
        "overhead 0.02": packed(cost, replace(shipped, overhead=0.02)),
        "overhead 0.1": packed(cost, replace(shipped, overhead=0.1)),
        "overhead 0.2": packed(cost, replace(shipped, overhead=0.2)),
        "any size": packed(cost, replace(shipped, overhead=0.001)),
        "8 rows, padding 0.1": padded(8, 0.1),
        "8 rows, padding 0.25": padded(8, 0.25),
        "one by one": arrival(1),
        "arrival order": arrival(8),
        "sorted window of 32": window(32, 8),
        "cheapest neighbours": cheapest(cost, 8),
        "shortest first, 0.5 s at most": shortest(cost, 8, 0.5),
        "shortest first": shortest(cost, 8, float("inf")),
    }


def _by_length(waiting: Sequence[Waiting], indices: range) -> list[int]:
    return sorted(indices, key=lambda i: waiting[i].shape.length)


def _runs(ordered: list[int], count: int) -> list[list[int]]:
    """Every run of ``count`` neighbours that holds the oldest (0)."""
    at = ordered.index(0)
    return [ordered[i : i + count] for i in range(max(0, at - count + 1), min(at, len(ordered) - count) + 1)]


def _padding(waiting: Sequence[Waiting], run: Sequence[int]) -> int:
    lengths = [waiting[i].shape.length for i in run]
    return max(lengths) * len(lengths) - sum(lengths)
