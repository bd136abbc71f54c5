"""When an open loop sends: times that do not depend on the answers."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Arrivals = Literal["constant", "poisson"]


@dataclass(frozen=True)
class Segment:
    """``rate`` requests a second for some ``seconds``."""

    rate: float
    seconds: float


def times(segments: Iterable[Segment], arrivals: Arrivals, seed: int = 1) -> list[float]:
    """The seconds after the start at which to send, in order; the segments follow each other."""
    chance = random.Random(seed)
    found: list[float] = []
    began = 0.0
    for segment in segments:
        made = _constant(segment) if arrivals == "constant" else _poisson(segment, chance)
        found += [began + at for at in made]
        began += segment.seconds
    return found


def _constant(segment: Segment) -> list[float]:
    return [i / segment.rate for i in range(round(segment.rate * segment.seconds))]


def _poisson(segment: Segment, chance: random.Random) -> list[float]:
    found: list[float] = []
    at = chance.expovariate(segment.rate)
    while at < segment.seconds:
        found.append(at)
        at += chance.expovariate(segment.rate)
    return found
