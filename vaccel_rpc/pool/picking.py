"""Which of the agents that can be used takes a run.

Of two agents chosen by chance, that with the lower expected time (Mitzenmacher, "The power of two
choices in randomized load balancing", 2001; Finagle and Linkerd balance by it, too). The expected
time is an agent's pace times the tokens that would be outstanding there. Chance keeps many functions
that see the same figures from choosing the same agent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from vaccel_rpc.pool.load import Load


class Candidate(Protocol):
    """What is picked."""

    @property
    def load(self) -> Load:
        """How busy it is."""

    @property
    def preferred(self) -> bool:
        """Whether it goes before those that are not."""


C = TypeVar("C", bound=Candidate)


def pick(candidates: Sequence[C], tokens: int, below: Callable[[int], int]) -> C:
    """One of the candidates for a run of so many tokens. ``below(n)``: a random number from 0 to n - 1.

    Those that are preferred go first. Of two, one whose pace is not known is taken to be as quick as
    the other.
    """
    if len(candidates) == 1:
        return candidates[0]
    first = [candidate for candidate in candidates if candidate.preferred] or candidates
    count = len(first)
    if count == 1:
        return first[0]
    i, j = below(count), below(count - 1)
    one, other = first[i], first[j + (j >= i)]
    paces = one.load.pace(), other.load.pace()
    known = [pace for pace in paces if pace is not None]
    one_pace, other_pace = (pace if pace is not None else min(known, default=1.0) for pace in paces)
    is_other = other_pace * (other.load.outstanding + tokens) < one_pace * (one.load.outstanding + tokens)
    return other if is_other else one
