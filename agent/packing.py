"""Which waiting requests run together next: a pure function of them, the limits and the cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from agent.engines.cost import UNKNOWN, Cost
from agent.engines.layout import Shape

#: Why a batch was released and was no larger. ``full``: its rows are at the limit. ``tokens``: its
#: time or memory is. ``length``: the others differ too much in length, or in kind, or came too late.
#: ``drained``: nothing else was waiting. ``shared``: the rest was left for other workers. ``single``:
#: the model's requests cannot be joined.
Reason = Literal["full", "tokens", "length", "drained", "shared", "single"]

#: The older half of the queue, and at least its so many oldest requests, join a batch by length alone.
_FEW = 16


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """The limits of a batch: ``rows``, and ``tokens`` with padding (None: no limit).

    ``overhead``: a batch grows while the fixed part of its cost is more than this fraction of its
    time. Beyond that, a larger batch makes others wait and gains nothing. ``padding``: a request
    joins a batch if that adds padding for at most this fraction of the fixed cost that it saves. It
    would save most of that in a later batch too, with requests that are nearer in length.
    """

    rows: int = 64
    overhead: float = 0.05
    padding: float = 0.5
    tokens: int | None = None

    def seconds(self, cost: Cost) -> float:
        """The time of the largest batch of several requests."""
        return cost.a / self.overhead

    def allow(self, cost: Cost, rows: int, length: int, tokens: int | None = None) -> bool:
        """Whether a batch may have ``rows`` rows of this length; ``tokens``: see `Cost.seconds`."""
        return (
            rows <= self.rows
            and (self.tokens is None or rows * length <= self.tokens)
            and cost.seconds(rows, length, tokens) <= self.seconds(cost)
        )


def pack(waiting: Sequence[Shape], limits: BatchLimits, cost: Cost = UNKNOWN) -> list[int]:
    """Indices of the requests that run next.

    They are the oldest (``waiting[0]``), and those nearest to it in length, as long as a request saves
    more time than its padding takes. One of the younger half joins only if it delays those before it for
    less time than it saves, as on a GPU: else many would wait long for the sake of few. Where padding
    takes no time, they run in the order in which they came.
    """
    oldest = waiting[0]
    if oldest.key is None:
        return [0]
    others = [i for i in range(1, len(waiting)) if waiting[i].key == oldest.key]
    if cost.pads:
        others.sort(key=lambda i: abs(waiting[i].length - oldest.length))
    chosen, rows, longest, tokens = [0], oldest.rows, oldest.length, oldest.rows * oldest.length
    seconds, saved = cost.seconds(rows, longest), cost.a * (1 - limits.padding)
    older = max(_FEW, len(waiting) - len(waiting) // 2) if cost.pads else len(waiting)
    for i in others:
        other = waiting[i]
        new_rows, new_longest, new_tokens = rows + other.rows, max(longest, other.length), tokens + other.rows * other.length
        if not limits.allow(cost, new_rows, new_longest, new_tokens):
            continue
        together = cost.seconds(new_rows, new_longest, new_tokens)
        if together > seconds + cost.seconds(other.rows, other.length) - saved:
            continue
        if i >= older and together - seconds > cost.a:
            continue
        chosen.append(i)
        rows, longest, tokens, seconds = new_rows, new_longest, new_tokens, together
    return sorted(chosen)


def why(waiting: Sequence[Shape], chosen: Sequence[int], share: BatchLimits, limits: BatchLimits, cost: Cost = UNKNOWN) -> Reason:
    """Why the batch is no larger.

    ``share``: the limits by which it was packed, no larger than ``limits``.
    """
    if waiting[0].key is None:
        return "single"
    rows = sum(waiting[i].rows for i in chosen)
    if rows >= limits.rows:
        return "full"
    if len(chosen) == len(waiting):
        return "drained"
    if rows >= share.rows:
        return "shared"
    longest, tokens = max(waiting[i].length for i in chosen), sum(waiting[i].rows * waiting[i].length for i in chosen)
    return "length" if limits.allow(cost, rows + 1, longest, tokens + 1) else "tokens"
