"""Compares the agents before and after: whether they are the same, and still have their models
loaded. No network.
"""

from __future__ import annotations

from collections.abc import Sequence

from knative.cluster.errors import counted
from knative.look.agents import AgentPod

_CLOCK_S = 2.0  # a process's start is computed from clock ticks and the boot time


def changes(before: Sequence[AgentPod], after: Sequence[AgentPod]) -> list[str]:
    """What happened to the agents that were there before; an additional agent is no change."""
    now = {agent.uid: agent for agent in after}
    return [change for agent in before for change in _changes(agent, now.get(agent.uid))]


def _changes(before: AgentPod, after: AgentPod | None) -> list[str]:
    if after is None:
        return [f"{before.pod} is gone"]
    texts = []
    if after.restarts != before.restarts or after.container != before.container:
        texts.append(f"{after.pod} was restarted ({counted(before.restarts, 'restart')} before, {after.restarts} after)")
    elif before.facts.started and after.facts.started and abs(after.facts.started - before.facts.started) > _CLOCK_S:
        texts.append(f"{after.pod} has another process")
    if not after.ready:
        texts.append(f"{after.pod} is not ready")
    elif after.warm is False:
        texts.append(f"{after.pod} has no model loaded")
    return texts + _model_changes(before, after)


def _model_changes(before: AgentPod, after: AgentPod) -> list[str]:
    if before.facts.models is None or after.facts.models is None or before.facts.source != after.facts.source:
        return []
    loads = {(model.name, model.sha256): model.loads for model in after.facts.models}
    texts = []
    for model in before.facts.models:
        now = loads.pop((model.name, model.sha256), None)
        if now is None:
            texts.append(f"{after.pod} has unloaded {model.name}")
        elif now != model.loads:
            texts.append(f"{after.pod} had loaded {model.name} {counted(model.loads, 'time')}, now {counted(now, 'time')}")
    return texts + [f"{after.pod} has loaded {name} since" for name, _ in loads]


def unknown(before: Sequence[AgentPod], after: Sequence[AgentPod]) -> list[str]:
    """The agents whose models could not be compared."""
    known = {agent.uid for agent in after if agent.facts.models is not None}
    return [agent.pod for agent in before if agent.facts.models is None or agent.uid not in known]
