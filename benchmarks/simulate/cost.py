"""The simulated machine: the time of a batch on one thread, and on every core."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from agent.engines.cost import Cost


@dataclass(frozen=True)
class Machine:
    """A cost model; ``alone``: the share of a batch's time on one thread that it takes with every
    core.
    """

    cost: Cost
    alone: float = 1.0

    def seconds(self, rows: int, length: int, *, alone: bool = False) -> float:
        """The time of a batch of ``rows`` padded to ``length``; ``alone``: with every core."""
        return self.cost.seconds(rows, length) * (self.alone if alone else 1.0)

    def write(self, path: Path) -> None:
        """Writes the machine as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")


#: Fitted to one core of an AMD EPYC (family 26) with the shipped model; ``--fit`` measures another
#: machine.
DEFAULT = Machine(Cost(a=0.0009, b=0.0001, c=0.000095, d=1.5e-7), alone=0.7)


def read(path: Path) -> Machine:
    """The machine in a file that `Machine.write` wrote, or the default where it does not exist."""
    if not path.exists():
        return DEFAULT
    data = json.loads(path.read_text())
    return Machine(Cost(**data["cost"]), data["alone"])
