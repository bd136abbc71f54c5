"""When an open loop sends: times that do not depend on responses."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Arrivals = Literal["constant", "poisson"]


@dataclass(frozen=True)
class Segment:
    """``rate`` requests a second for a number of ``seconds``."""

    rate: float
    seconds: float


def times(segments: Iterable[Segment], arrivals: Arrivals, seed: int = 1) -> list[float]:
    """The seconds since the start at which to send, in order; the segments follow each other."""
    chance = random.Random(seed)
    moments: list[float] = []
    began = 0.0
    for segment in segments:
        offsets = _constant(segment) if arrivals == "constant" else _poisson(segment, chance)
        moments += [began + moment for moment in offsets]
        began += segment.seconds
    return moments


def _constant(segment: Segment) -> list[float]:
    return [i / segment.rate for i in range(round(segment.rate * segment.seconds))]


def _poisson(segment: Segment, chance: random.Random) -> list[float]:
    moments: list[float] = []
    moment = chance.expovariate(segment.rate)
    while moment < segment.seconds:
        moments.append(moment)
        moment += chance.expovariate(segment.rate)
    return moments
