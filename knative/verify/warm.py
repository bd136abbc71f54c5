"""Whether the agents are the same, and warm, after as before. No network."""

from __future__ import annotations

from collections.abc import Sequence

from knative.cluster.errors import counted
from knative.look.agents import AgentPod

_CLOCK_S = 2.0  # the start of a process is computed from ticks and the boot time


def changes(before: Sequence[AgentPod], after: Sequence[AgentPod]) -> list[str]:
    """What happened to the agents that were there before; a further one is no change."""
    now = {agent.uid: agent for agent in after}
    return [change for agent in before for change in _changes(agent, now.get(agent.uid))]


def _changes(before: AgentPod, after: AgentPod | None) -> list[str]:
    if after is None:
        return [f"{before.pod} is gone"]
    found = []
    if after.restarts != before.restarts or after.container != before.container:
        found.append(f"{after.pod} was restarted ({counted(before.restarts, 'restart')} before, {after.restarts} after)")
    elif before.facts.started and after.facts.started and abs(after.facts.started - before.facts.started) > _CLOCK_S:
        found.append(f"{after.pod} has another process")
    if not after.ready:
        found.append(f"{after.pod} is not ready")
    elif after.warm is False:
        found.append(f"{after.pod} has no model loaded")
    return found + _models(before, after)


def _models(before: AgentPod, after: AgentPod) -> list[str]:
    if before.facts.models is None or after.facts.models is None or before.facts.source != after.facts.source:
        return []
    loads = {(model.name, model.sha256): model.loads for model in after.facts.models}
    found = []
    for model in before.facts.models:
        now = loads.pop((model.name, model.sha256), None)
        if now is None:
            found.append(f"{after.pod} has {model.name} no more")
        elif now != model.loads:
            found.append(f"{after.pod} had loaded {model.name} {counted(model.loads, 'time')}, now {counted(now, 'time')}")
    return found + [f"{after.pod} has loaded {name} only now" for name, _ in loads]


def unknown(before: Sequence[AgentPod], after: Sequence[AgentPod]) -> list[str]:
    """The agents whose models could not be compared."""
    seen = {agent.uid for agent in after if agent.facts.models is not None}
    return [agent.pod for agent in before if agent.facts.models is None or agent.uid not in seen]
