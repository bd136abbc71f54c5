"""``verify``: real requests through the ingress, while the cluster is watched. Yields a check at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from knative.cluster.api import Cluster
from knative.cluster.errors import counted
from knative.look.agents import AgentPod, agents
from knative.verify import asking, coldstart, warm
from knative.verify.check import Check, VerifyPlan, judged, skipped

_WARM = "agents stay warm"


def verify(plan: VerifyPlan, cluster: Cluster | None, absent: str, tell: Callable[[str], None]) -> Iterator[Check]:
    """All checks; those that need the cluster are skipped where there is none, for the reason ``absent``. ``tell``: what it waits for."""
    before = agents(cluster, plan.selector) if cluster else []
    yield from asking.checks(plan)
    if cluster is None:
        for name in ("scales to zero", "cold starts", _WARM):
            yield skipped(name, f"the cluster has to be seen for it, and {absent}")
        return
    yield from coldstart.checks(plan, cluster, tell)
    yield _stayed_warm(plan, before, agents(cluster, plan.selector))


def _stayed_warm(plan: VerifyPlan, before: Sequence[AgentPod], after: Sequence[AgentPod]) -> Check:
    if not before:
        return skipped(_WARM, f"there is no pod with {plan.selector}; see --agent-selector")
    wrong = "; ".join(warm.changes(before, after)) or None
    loads = {model.name: model.loads for agent in after for model in agent.facts.models or ()}
    told = f"{counted(len(before), 'agent')}: same pods, containers and processes"
    unknown = warm.unknown(before, after)
    if unknown:
        notes = {agent.facts.note for agent in after if agent.facts.note}
        told = f"{counted(len(before), 'agent')}: same pods and containers; models of {', '.join(unknown)} unknown: {'; '.join(sorted(notes))}"
    elif loads:
        told += f"; no model loaded again ({', '.join(f'{name}: {count}' for name, count in sorted(loads.items()))})"
    return judged(_WARM, wrong, told, agents=len(before), models_unknown=len(unknown))
