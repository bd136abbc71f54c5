"""The packing rules to compare: which of the waiting requests run next in one batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from agent.engines.cost import Cost
from agent.engines.layout import Shape
from agent.packing import BatchLimits, pack


@dataclass(frozen=True, slots=True)
class Waiting:
    """A waiting request and its time of arrival in seconds."""

    arrived: float
    shape: Shape


#: The waiting requests (oldest first), the time, the number of free workers -> the indices of those
#: that run next.
Rule = Callable[[Sequence[Waiting], float, int], list[int]]


def share(waiting: Sequence[Waiting], limits: BatchLimits, free: int) -> BatchLimits:
    """The limits with so few rows that the other free workers get work too, as in
    `agent.batching.batcher`.
    """
    rows = -(-sum(request.shape.rows for request in waiting) // max(1, free))
    return replace(limits, rows=min(limits.rows, max(1, rows)))


def packed(cost: Cost, limits: BatchLimits) -> Rule:
    """The shipped rule: the oldest request, and those nearest in length while each saves more than its
    padding costs.
    """
    return lambda waiting, _, free: pack([request.shape for request in waiting], share(waiting, limits, free), cost)


def padded(rows: int, padding: float) -> Rule:
    """The oldest request, and those nearest in length, while padding is at most the share
    ``padding`` of the batch.
    """

    def rule(waiting: Sequence[Waiting], _: float, free: int) -> list[int]:
        max_rows = share(waiting, BatchLimits(rows=rows), free).rows
        chosen, longest, tokens = [0], waiting[0].shape.length, waiting[0].shape.length
        for i in sorted(range(1, len(waiting)), key=lambda i: abs(waiting[i].shape.length - waiting[0].shape.length)):
            length = waiting[i].shape.length
            padded_tokens = (len(chosen) + 1) * max(longest, length)
            if len(chosen) < max_rows and padded_tokens - tokens - length <= padding * padded_tokens:
                chosen.append(i)
                longest, tokens = max(longest, length), tokens + length
        return chosen

    return rule


def arrival(rows: int) -> Rule:
    """The oldest requests, whatever their lengths."""
    return lambda waiting, _, free: list(range(min(len(waiting), share(waiting, BatchLimits(rows=rows), free).rows)))


def window(size: int, rows: int) -> Rule:
    """Of the ``size`` oldest requests sorted by length: the run of neighbours with the oldest one
    that has the least padding.
    """

    def rule(waiting: Sequence[Waiting], _: float, free: int) -> list[int]:
        ordered = _by_length(waiting, range(min(size, len(waiting))))
        count = min(len(ordered), share(waiting, BatchLimits(rows=rows), free).rows)
        return min(_runs(ordered, count), key=lambda run: _padding(waiting, run))

    return rule


def cheapest(cost: Cost, rows: int) -> Rule:
    """Of all runs of neighbours in length with the oldest request: the one that takes the least
    time for each row.
    """

    def rule(waiting: Sequence[Waiting], _: float, free: int) -> list[int]:
        ordered = _by_length(waiting, range(len(waiting)))
        max_rows = min(len(ordered), share(waiting, BatchLimits(rows=rows), free).rows)
        runs = [run for count in range(1, max_rows + 1) for run in _runs(ordered, count)]
        return min(runs, key=lambda run: cost.seconds(len(run), waiting[run[-1]].shape.length) / len(run))

    return rule


def shortest(cost: Cost, rows: int, bound: float) -> Rule:
    """The shortest first; a request that has waited for ``bound`` seconds goes first, with those
    nearest in length.
    """

    def rule(waiting: Sequence[Waiting], now: float, free: int) -> list[int]:
        limits = share(waiting, BatchLimits(rows=rows), free)
        if now - waiting[0].arrived >= bound:
            return pack([request.shape for request in waiting], limits, cost)
        return _by_length(waiting, range(len(waiting)))[: limits.rows]

    return rule


def all_rules(cost: Cost) -> dict[str, Rule]:
    """The rules by name; the first is the shipped one."""
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
    """Every run of ``count`` neighbours that includes the oldest request, whose index is 0."""
    at = ordered.index(0)
    return [ordered[i : i + count] for i in range(max(0, at - count + 1), min(at, len(ordered) - count) + 1)]


def _padding(waiting: Sequence[Waiting], run: Sequence[int]) -> int:
    lengths = [waiting[i].shape.length for i in run]
    return max(lengths) * len(lengths) - sum(lengths)
