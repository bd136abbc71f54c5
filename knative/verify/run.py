"""All checks of ``verify``, in order: real requests through the ingress, while the cluster is
observed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from knative.cluster.api import Cluster
from knative.cluster.errors import counted
from knative.look.agents import AgentPod, agents
from knative.verify import classification, coldstart, warm
from knative.verify.check import Check, VerifyPlan, judged, skipped

_WARM = "agents stay warm"


def verify(plan: VerifyPlan, cluster: Cluster | None, absent: str, note: Callable[[str], None]) -> Iterator[Check]:
    """Yields each check when it is done. Without a cluster, those that need one are skipped for the
    reason ``absent``.

    ``note`` is called with what is being waited for.
    """
    before = agents(cluster, plan.config.agent_selector) if cluster else []
    yield from classification.checks(plan)
    if cluster is None:
        for name in ("scales to zero", "cold starts", _WARM):
            yield skipped(name, f"this check needs the cluster, and {absent}")
        return
    yield from coldstart.checks(plan, cluster, note)
    yield _stayed_warm(plan, before, agents(cluster, plan.config.agent_selector))


def _stayed_warm(plan: VerifyPlan, before: Sequence[AgentPod], after: Sequence[AgentPod]) -> Check:
    if not before:
        return skipped(_WARM, f"there is no pod with {plan.config.agent_selector}; see --agent-selector")
    fault = "; ".join(warm.changes(before, after)) or None
    loads = {model.name: model.loads for agent in after for model in agent.facts.models or ()}
    detail = f"{counted(len(before), 'agent')}: same pods, containers and processes"
    unknown = warm.unknown(before, after)
    if unknown:
        notes = "; ".join(sorted({agent.facts.note for agent in after if agent.facts.note}))
        detail = f"{counted(len(before), 'agent')}: same pods and containers; models of {', '.join(unknown)} unknown: {notes}"
    elif loads:
        detail += f"; no model loaded again ({', '.join(f'{name}: {count}' for name, count in sorted(loads.items()))})"
    return judged(_WARM, fault, detail, agents=len(before), models_unknown=len(unknown))
