"""Which fault comes when: drawn from a seed, or one of the named schedules of the pool's past faults."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.chaos.faults import FAULTS

#: Seconds without a fault between two that a seed drew.
_CALM = (0.5, 1.5)


@dataclass(frozen=True)
class ChaosStep:
    """A fault of one agent for some seconds, after others without any.

    ``beyond``: the seconds come after the function's limit.
    """

    fault: str
    agent: int
    seconds: float
    calm: float = 0.5
    beyond: bool = False


@dataclass(frozen=True)
class NamedSchedule:
    """A fault that the pool, or what came before it, once had. ``absent``: agents that start after the function."""

    about: str
    steps: tuple[ChaosStep, ...]
    absent: tuple[int, ...] = ()


SCHEDULES = {
    "first-record-dead": NamedSchedule(
        "of a name's two records the first leads to nobody: 503 for good", (ChaosStep("killed", 0, 0.5),), absent=(0,)
    ),
    "killed-and-restarted": NamedSchedule(
        "16 clients lost 53 requests", (ChaosStep("killed", 0, 0.5), ChaosStep("killed", 1, 0.5))
    ),
    "told-to-end": NamedSchedule(
        "16 clients lost 283 requests", (ChaosStep("told-to-end", 0, 0.3), ChaosStep("told-to-end", 1, 0.3))
    ),
    "rolling-restart": NamedSchedule("an upgrade of all agents, one after the other", (ChaosStep("rolling-restart", 0, 10),)),
    "frozen-beyond-limit": NamedSchedule(
        "readiness stayed at 200 while every call ended in 504",
        (ChaosStep("frozen", 0, 1, beyond=True), ChaosStep("link-drops", 1, 2)),
    ),
    "two-looping-models": NamedSchedule(
        "two models that loop stopped an agent for ever while its probes stayed green", (ChaosStep("hung", 1, 1, beyond=True),)
    ),
    "reconnect-after-refusals": NamedSchedule(
        "a gRPC channel that was refused for long came back only after its own back-off",
        (ChaosStep("killed", 1, 5), ChaosStep("killed", 0, 0.2)),
    ),
    "cut-within-frames": NamedSchedule(
        "what is lost with its connection is run again, and once", (ChaosStep("link-cuts", 1, 2), ChaosStep("link-delays", 1, 1))
    ),
    "name-flaps": NamedSchedule(
        "a look-up that failed emptied the pool", (ChaosStep("name-fails", 0, 0.5), ChaosStep("name-flaps", 1, 1))
    ),
    "full-queue": NamedSchedule("no room on one agent was the caller's error", (ChaosStep("full", 0, 1),)),
    "one-to-four": NamedSchedule("agents that came later got no work", (ChaosStep("scaled", 0, 1),)),
}


def drawn(seed: int, agents: int, has: Callable[[str], bool]) -> Iterator[ChaosStep]:
    """Steps without end: every fault whose need the stage ``has``, in random order, then all again."""
    chance = random.Random(seed)
    names = [name for name, fault in FAULTS.items() if has(fault.needs)]
    while True:
        chance.shuffle(names)
        for name in names:
            fault = FAULTS[name]
            # Every second agent is behind a link of the tool's.
            agent = chance.randrange(1, agents, 2) if fault.needs == "link" else chance.randrange(agents)
            yield ChaosStep(name, agent, round(chance.uniform(*fault.seconds), 2), round(chance.uniform(*_CALM), 2))
