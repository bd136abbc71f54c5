"""What a pool has done so far, for metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Waits(NamedTuple):
    """Callers that wait for an agent ``now``, and all that ``ever`` had to."""

    now: int = 0
    ever: int = 0


@dataclass(frozen=True)
class PoolFigures:
    """What a pool has done so far.

    ``waits``: callers that wait for an agent. ``runs``: those that each agent has answered.
    ``retries``: runs that were sent again, by the status that was the reason. ``suspects``: how often
    an agent has become suspect. ``drains``: how often an agent said that it shuts down.
    """

    waits: Waits = field(default_factory=Waits)
    runs: Mapping[str, int] = field(default_factory=dict)
    retries: Mapping[str, int] = field(default_factory=dict)
    suspects: int = 0
    drains: int = 0
