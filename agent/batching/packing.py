"""Which of the waiting requests run next, together: a pure function of what waits, what a batch may hold and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from agent.engines.cost import UNKNOWN, Cost
from agent.engines.layout import Shape

#: Why a batch was released, and was no larger: rows, or its time or memory, at their limit; the others too different in length or
#: kind; nothing else waiting; the rest left for other workers; a model whose requests cannot be joined.
Reason = Literal["full", "tokens", "length", "drained", "shared", "single"]


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """What a batch may hold: ``rows`` joined, ``tokens`` after padding (None: any).

    ``overhead``: it grows while the part of its time that does not depend on its size is more than this: beyond, it wins nothing.
    """

    rows: int = 64
    overhead: float = 0.05
    tokens: int | None = None

    def seconds(self, cost: Cost) -> float:
        """The time of the largest batch of several requests."""
        return cost.a / self.overhead

    def allow(self, cost: Cost, rows: int, length: int) -> bool:
        """Whether a batch may have so many rows of this length."""
        return (
            rows <= self.rows
            and (self.tokens is None or rows * length <= self.tokens)
            and cost.seconds(rows, length) <= self.seconds(cost)
        )


def pack(waiting: Sequence[Shape], limits: BatchLimits, cost: Cost = UNKNOWN) -> list[int]:
    """Indices of the requests that run next: the oldest (``waiting[0]``), and those nearest to it in length while that takes
    less time than to run each on its own.
    """
    oldest = waiting[0]
    if oldest.key is None:
        return [0]
    others = [i for i in range(1, len(waiting)) if waiting[i].key == oldest.key]
    others.sort(key=lambda i: abs(waiting[i].length - oldest.length))
    chosen, rows, longest = [0], oldest.rows, oldest.length
    seconds = cost.seconds(rows, longest)
    for i in others:
        other = waiting[i]
        new_rows, new_longest = rows + other.rows, max(longest, other.length)
        if not limits.allow(cost, new_rows, new_longest):
            continue
        together = cost.seconds(new_rows, new_longest)
        if together > seconds + cost.seconds(other.rows, other.length):
            continue
        chosen.append(i)
        rows, longest, seconds = new_rows, new_longest, together
    return sorted(chosen)


def why(waiting: Sequence[Shape], chosen: Sequence[int], share: BatchLimits, limits: BatchLimits, cost: Cost = UNKNOWN) -> Reason:
    """Why the batch is as it is; ``share``: the limits it was packed by, no larger than ``limits``."""
    if waiting[0].key is None:
        return "single"
    rows = sum(waiting[i].rows for i in chosen)
    if rows >= limits.rows:
        return "full"
    if len(chosen) == len(waiting):
        return "drained"
    if rows >= share.rows:
        return "shared"
    longest = max(waiting[i].length for i in chosen)
    return "length" if limits.allow(cost, rows + 1, longest) else "tokens"
