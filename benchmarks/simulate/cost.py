"""The machine that is simulated: what a batch costs on one thread, and alone on every core."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from agent.engines.cost import Cost


@dataclass(frozen=True)
class Machine:
    """``alone``: the part of its time that a batch takes which has every core."""

    cost: Cost
    alone: float = 1.0

    def seconds(self, rows: int, length: int, *, alone: bool = False) -> float:
        """The time of a batch of so many rows, padded to ``length``."""
        return self.cost.seconds(rows, length) * (self.alone if alone else 1.0)

    def write(self, path: Path) -> None:
        """As JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")


#: Fitted to one core of an AMD EPYC (family 26) and the shipped model; ``--fit`` measures yours.
DEFAULT = Machine(Cost(a=0.0009, b=0.0001, c=0.000095, d=1.5e-7), alone=0.7)


def read(path: Path) -> Machine:
    """What `Machine.write` wrote, or the default where nobody did."""
    if not path.exists():
        return DEFAULT
    found = json.loads(path.read_text())
    return Machine(Cost(**found["cost"]), found["alone"])
