"""The faults: what is done to which agent, for how long, and which codes clients may get for it.

Each returns when it is over and nothing of it is left but what the function makes of it.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from benchmarks.chaos.stage import MAX_AGENTS, Stage

_FLAP_S = 0.3
_DELAY_S = 0.15
_SLOWER = 4
#: The queue of an agent that has no room.
_NO_ROOM = ("--max-queue", "1")

#: What a fault needs of a stage: a link of the tool's to the agent, a name, the sleeping engine.
Need = Literal["", "link", "name", "engine"]


@dataclass(frozen=True)
class AgentFault:
    """A fault. ``act(stage, agent, seconds)`` does it; ``codes``: statuses that clients may get for it;
    ``seconds``: the shortest and the longest that a seed gives it.
    """

    about: str
    act: Callable[[Stage, int, float], None]
    seconds: tuple[float, float] = (0.5, 3.0)
    needs: Need = ""
    codes: frozenset[int] = frozenset()


def _killed(stage: Stage, agent: int, seconds: float) -> None:
    stage.end(agent, signal.SIGKILL)
    time.sleep(seconds)
    stage.start(agent)


def _told_to_end(stage: Stage, agent: int, seconds: float) -> None:
    stage.end(agent)
    time.sleep(seconds)
    stage.start(agent)


def _frozen(stage: Stage, agent: int, seconds: float) -> None:
    process = stage.slots[agent].process
    if process:
        process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        process.send_signal(signal.SIGCONT)


def _rolling(stage: Stage, agent: int, seconds: float) -> None:  # noqa: ARG001 as every fault's
    count = stage.plan.agents
    for number in range(count):
        stage.end(number)
        stage.start(number)
        stage.wait_ready(count, seconds)


def _scaled(stage: Stage, agent: int, seconds: float) -> None:  # noqa: ARG001 as every fault's
    """From one agent to the most, and back."""
    count = stage.plan.agents
    stage.say([0])
    for number in range(1, count):
        stage.end(number)
    time.sleep(seconds)
    for number in range(1, MAX_AGENTS):
        stage.start(number)
        stage.say(range(number + 1))
    stage.wait_ready(MAX_AGENTS, 10)
    time.sleep(seconds)
    stage.say(range(count))
    for number in range(count, MAX_AGENTS):
        stage.end(number)


def _link_cuts(stage: Stage, agent: int, seconds: float) -> None:
    _with_link(stage, agent, seconds, "cut")


def _link_drops(stage: Stage, agent: int, seconds: float) -> None:
    _with_link(stage, agent, seconds, "drop")


def _link_delays(stage: Stage, agent: int, seconds: float) -> None:
    _with_link(stage, agent, seconds, "delay")


def _with_link(stage: Stage, agent: int, seconds: float, mode: Literal["cut", "drop", "delay"]) -> None:
    link = stage.slots[agent].link
    if link:
        link.become(mode, _DELAY_S)
        time.sleep(seconds)
        link.become("pass")


def _name_goes(stage: Stage, agent: int, seconds: float) -> None:
    everyone = range(stage.plan.agents)
    stage.say([number for number in everyone if number != agent])
    time.sleep(seconds)
    stage.say(everyone)


def _name_flaps(stage: Stage, agent: int, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        _name_goes(stage, agent, _FLAP_S)
        stage.end(agent, signal.SIGKILL)  # a lost connection is what makes the function look the name up at once
        stage.start(agent)


def _name_fails(stage: Stage, agent: int, seconds: float) -> None:
    stage.say([])
    _killed(stage, agent, seconds)
    stage.say(range(stage.plan.agents))


def _full(stage: Stage, agent: int, seconds: float) -> None:
    stage.end(agent)
    stage.start(agent, *_NO_ROOM)
    time.sleep(seconds)
    stage.end(agent)
    stage.start(agent)


def _slow(stage: Stage, agent: int, seconds: float) -> None:
    stage.mood(agent, factor=_SLOWER)
    time.sleep(seconds)
    stage.mood(agent)


def _hung(stage: Stage, agent: int, seconds: float) -> None:
    stage.mood(agent, hung=True)
    time.sleep(seconds)
    stage.mood(agent)
    process = stage.slots[agent].process
    if process and process.poll() is not None:  # it ended itself, and whatever runs it starts it again
        stage.start(agent)


#: Every fault by its name.
FAULTS = {
    "killed": AgentFault("SIGKILL, and started again", _killed),
    "told-to-end": AgentFault("SIGTERM, and started again", _told_to_end),
    "restarted": AgentFault("SIGTERM, and started again at once", lambda stage, agent, _: _told_to_end(stage, agent, 0)),
    "frozen": AgentFault("SIGSTOP, and SIGCONT", _frozen, (1.0, 8.0)),
    "rolling-restart": AgentFault("SIGTERM to each in turn, and started again", _rolling, (10.0, 10.0)),
    "scaled": AgentFault(f"one agent alone, then {MAX_AGENTS}, then as before", _scaled),
    "link-cuts": AgentFault("connections are reset in the middle of a frame", _link_cuts, needs="link"),
    "link-drops": AgentFault("bytes are swallowed, and the connection stays open", _link_drops, (1.0, 8.0), "link"),
    "link-delays": AgentFault(f"bytes come {1000 * _DELAY_S:.0f} ms late", _link_delays, needs="link"),
    "name-goes": AgentFault("the name loses its record and gets it back", _name_goes, (1.0, 8.0), "name"),
    "name-flaps": AgentFault("its record comes and goes while it is killed again and again", _name_flaps, needs="name"),
    "name-fails": AgentFault("killed while the name cannot be looked up", _name_fails, needs="name"),
    "full": AgentFault("restarted with room for one text in its queue", _full, (1.0, 4.0)),
    "slow": AgentFault(f"runs take {_SLOWER} times as long", _slow, (1.0, 5.0), "engine"),
    "hung": AgentFault("its model loops on every text", _hung, (3.0, 7.0), "engine", frozenset((504,))),
}
