"""Which of the waiting requests run next, together: a pure function of what waits and what a batch may hold."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

#: Why a batch was released, and was no larger: rows or tokens at their limit; the others too different in length or kind;
#: nothing else waiting; the rest left for other workers; a model whose requests cannot be joined.
Reason = Literal["full", "tokens", "length", "drained", "shared", "single"]


@dataclass(frozen=True)
class Limits:
    """What a batch may hold: ``rows`` joined, ``tokens`` after padding, and the part of these that may be ``padding``."""

    rows: int = 8
    tokens: int = 8192
    padding: float = 0.25


#: On a CPU short batches of nearly equal length are as fast as long ones.
CPU_LIMITS, GPU_LIMITS = Limits(rows=8, tokens=4096, padding=0.1), Limits(rows=64, tokens=65536, padding=0.6)


@dataclass(frozen=True, slots=True)
class Shape:
    """How a request fits others: equal ``key`` (None: runs alone), ``length`` padded to the longest, ``rows`` joined."""

    key: Hashable | None
    length: int = 0
    rows: int = 1


def pack(waiting: Sequence[Shape], limits: Limits) -> list[int]:
    """Indices of the requests that run next: the oldest (``waiting[0]``) and those nearest to it in length that fit."""
    oldest = waiting[0]
    if oldest.key is None:
        return [0]
    others = [i for i in range(1, len(waiting)) if waiting[i].key == oldest.key]
    others.sort(key=lambda i: abs(waiting[i].length - oldest.length))
    chosen, rows, longest, tokens = [0], oldest.rows, oldest.length, oldest.rows * oldest.length
    for i in others:
        new_rows, new_longest = rows + waiting[i].rows, max(longest, waiting[i].length)
        new_tokens, padded = tokens + waiting[i].rows * waiting[i].length, new_rows * new_longest
        if new_rows > limits.rows or padded > limits.tokens or padded - new_tokens > limits.padding * padded:
            continue
        chosen.append(i)
        rows, longest, tokens = new_rows, new_longest, new_tokens
    return sorted(chosen)


def why(waiting: Sequence[Shape], chosen: Sequence[int], share: Limits, limits: Limits) -> Reason:
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
    return "tokens" if (rows + 1) * longest > limits.tokens else "length"
