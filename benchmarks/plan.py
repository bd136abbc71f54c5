"""How long each part is measured, in a quick run and in a full one."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.config import LOADS
from benchmarks.schedule import Arrivals

#: One measurement; each part has keys of its own.
Record = dict[str, Any]


def log(text: str) -> None:
    """Prints a line of progress with the time to standard error."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class BenchmarkPlan:
    """The sizes of a run; times in seconds; ``fractions``: open-loop rates as shares of the
    measured capacity.
    """

    quick: bool
    repeats: int
    clients: tuple[int, ...]
    seconds: float
    warm: float
    alone: int
    open_seconds: float
    fractions: tuple[float, ...]
    spawns: int
    hop_seconds: float
    sessions: tuple[int, ...]
    models: tuple[int, ...]
    agents: tuple[int, ...]


QUICK = BenchmarkPlan(
    quick=True, repeats=1, clients=(1, 8, 32), seconds=2.5, warm=0.5, alone=80, open_seconds=4, fractions=(0.7,), spawns=3,
    hop_seconds=0.4, sessions=(1, 1000), models=(1, 4), agents=(1, 2),
)  # fmt: skip
FULL = BenchmarkPlan(
    quick=False, repeats=3, clients=(1, 8, 32, 128), seconds=7, warm=1, alone=240, open_seconds=15, fractions=(0.3, 0.5, 0.7, 0.9),
    spawns=20, hop_seconds=2, sessions=(1, 100, 1000, 10_000), models=(1, 5, 10, 20), agents=(1, 2, 4),
)  # fmt: skip


@dataclass(frozen=True)
class Run:
    """What every part uses; ``variants``: name -> options for the agent; ``rates``: of the open
    loop, instead of fractions; ``loads`` and ``targets``: those that are measured; ``others``: texts
    beside the measured ``texts``.
    """

    plan: BenchmarkPlan
    texts: list[str]
    others: list[str] = field(default_factory=list)
    peers: bool = False
    variants: dict[str, str] = field(default_factory=dict)
    arrivals: Arrivals = "poisson"
    rates: tuple[float, ...] = ()
    log: Callable[[str], None] = print
    loads: tuple[str, ...] = LOADS
    targets: tuple[str, ...] = ()

    def wants(self, target: str) -> bool:
        """Whether a target of this name is measured: where no targets are named, every one is."""
        return not self.targets or any(part in target for part in self.targets)
