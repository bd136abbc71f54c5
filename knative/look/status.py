"""The state of agents and functions, as rows for tables and as an object for ``--json``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from knative.cluster.api import Cluster
from knative.cluster.objects import KNATIVE_SERVICE, Json
from knative.look import nodes
from knative.look.agents import AgentPod, agents
from knative.look.functions import KnativeFunction, Revision, functions

AGENT_COLUMNS = ("node", "agent", "ready", "restarts", "age", "warm", "models (loads)", "image")
FUNCTION_COLUMNS = ("function", "ready", "url", "latest revision", "traffic")
REVISION_COLUMNS = ("revision", "ready", "traffic", "scale (desired)", "last cold start")


@dataclass(frozen=True)
class Status:
    """The agents and functions of a namespace; ``notes``: what could not be read, and why, and what
    may go wrong.
    """

    namespace: str
    agents: list[AgentPod]
    functions: list[KnativeFunction]
    notes: list[str]


def read(cluster: Cluster, selector: str) -> Status:
    """Reads the state of a namespace. Without Knative it has agents alone."""
    notes: list[str] = []
    pods = agents(cluster, selector)
    notes += [f"{agent.pod}: {agent.facts.note}" for agent in pods if agent.facts.note]
    notes += nodes.risks(cluster, pods)
    if cluster.has(KNATIVE_SERVICE):
        return Status(cluster.namespace, pods, functions(cluster, notes), notes)
    notes.append("Knative Serving is not installed in this cluster: there are no functions")
    return Status(cluster.namespace, pods, [], notes)


def agent_rows(status: Status, now: datetime) -> list[tuple[str, ...]]:
    """One row for each agent, in the order of ``AGENT_COLUMNS``."""
    return [
        (
            agent.node or "none yet",
            agent.pod,
            yes(agent.ready),
            str(agent.restarts),
            age(agent.created, now),
            "unknown" if agent.warm is None else yes(agent.warm),
            _models(agent),
            agent.image,
        )
        for agent in status.agents
    ]


def _models(agent: AgentPod) -> str:
    if agent.facts.models is None:
        return "unknown"
    return ", ".join(f"{model.name} ({model.loads})" for model in agent.facts.models) or "none"


def function_rows(status: Status) -> list[tuple[str, ...]]:
    """One row for each function, in the order of ``FUNCTION_COLUMNS``."""
    return [
        (each.name, _ready(each.ready, each.reason), each.url or "none yet", each.latest or "none yet", _traffic(each))
        for each in status.functions
    ]  # fmt: skip


def _traffic(function: KnativeFunction) -> str:
    shares = (f"{percent} % {name}{f' ({tag})' if tag else ''}" for name, percent, tag in function.traffic)
    return ", ".join(shares) or "none"


def revision_rows(status: Status, now: datetime) -> list[tuple[str, ...]]:
    """One row for each revision with traffic or pods, and for the newest one of each function."""
    return [
        (
            revision.name,
            _ready(revision.ready, revision.reason),
            f"{revision.percent} %",
            f"{revision.actual} ({'unknown' if revision.desired is None else revision.desired})",
            _cold_start(revision, now),
        )
        for function in status.functions
        for number, revision in enumerate(function.revisions)
        if not number or revision.percent or revision.actual or revision.desired
    ]


def _cold_start(revision: Revision, now: datetime) -> str:
    start = revision.last_cold_start
    return f"{start.seconds:.0f} s, {age(start.at, now)} ago" if start else "unknown: no pod is left"


def document(status: Status, now: datetime) -> Json:
    """The whole state, for ``--json``."""
    return {
        "namespace": status.namespace,
        "agents": [_agent(agent, now) for agent in status.agents],
        "functions": [_function(function) for function in status.functions],
        "notes": status.notes,
    }


def _agent(agent: AgentPod, now: datetime) -> Json:
    facts = agent.facts
    return {
        "node": agent.node,
        "pod": agent.pod,
        "ready": agent.ready,
        "restarts": agent.restarts,
        "age_s": round((now - agent.created).total_seconds()) if agent.created else None,
        "image": agent.image,
        "version": facts.version or None,
        "warm": agent.warm,
        "models": None if facts.models is None else [vars(model) for model in facts.models],
        "process_start_time": facts.started,
        "source": facts.source or None,
        "note": facts.note or None,
    }


def _function(function: KnativeFunction) -> Json:
    traffic = [{"revision": name, "percent": percent, "tag": tag or None} for name, percent, tag in function.traffic]
    return {**vars(function), "traffic": traffic, "revisions": [_revision(each) for each in function.revisions]}


def _revision(revision: Revision) -> Json:
    start = revision.last_cold_start
    last = {"seconds": start.seconds, "at": start.at.isoformat(), "pod": start.pod} if start else None
    return {**vars(revision), "last_cold_start": last}


def age(since: datetime | None, now: datetime) -> str:
    """An age as kubectl writes it: 30s, 12m, 3h, 5d."""
    if since is None:
        return "unknown"
    seconds = max(0, int((now - since).total_seconds()))
    for size, letter in ((86_400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{letter}"
    return f"{seconds}s"


def _ready(ready: bool, reason: str) -> str:
    return yes(True) if ready else f"no: {reason or 'not yet'}"


def yes(whether: bool) -> str:
    """``yes`` or ``no``."""
    return "yes" if whether else "no"


def now() -> datetime:
    """The current time, in UTC."""
    return datetime.now(UTC)
