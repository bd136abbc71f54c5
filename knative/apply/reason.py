"""A reason why something is not ready, and which of many to show: the most telling ones, and each
cause once. No network.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from knative.cluster.errors import counted

#: Kinds of reasons, the most telling ones first: a container that has failed is not ready and makes
#: its revision fail, and a pod without a node has no containers yet.
_RANKS = (("image", "config", "crash", "admission"), ("probe", "agent"), ("scheduling",), ("knative",), ("starting",))


@dataclass(frozen=True)
class Reason:
    """One reason; ``kind``: image, scheduling, probe, agent, crash, config, admission, knative
    or starting; ``more_pods``: how many other pods have the same.
    """

    kind: str
    text: str
    pod: str = ""
    container: str = ""
    more_pods: int = 0

    def __str__(self) -> str:
        place = "/".join(part for part in (self.pod, self.container) if part)
        place += f" and {counted(self.more_pods, 'more pod')}" if self.more_pods else ""
        return f"{self.kind}: {f'{place}: ' if place else ''}{self.text}"


def most_telling(reasons: Iterable[Reason]) -> list[Reason]:
    """The reasons of the most telling kind among them; for pods of which each may stand for all."""
    every = list(reasons)
    best = min((_rank(reason) for reason in every), default=0)
    return [reason for reason in every if _rank(reason) == best]


def _rank(reason: Reason) -> int:
    return next(rank for rank, kinds in enumerate(_RANKS) if reason.kind in kinds)


def once(reasons: Iterable[Reason]) -> list[Reason]:
    """Each cause once: of pods that fail alike the first one, with the number of the others."""
    first: dict[tuple[str, str, str], Reason] = {}
    for reason in reasons:
        cause = (reason.kind, reason.text, reason.container)
        same = first.get(cause)
        first[cause] = replace(same, more_pods=same.more_pods + 1) if same and same.pod != reason.pod else same or reason
    return list(first.values())
