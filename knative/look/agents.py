"""The agents: their pods, and what each says of its models."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from knative.cluster.api import Cluster
from knative.cluster.errors import KnativeError
from knative.cluster.objects import POD, SELECTOR, Json, containers, is_ready, moment, name_of, status_of, uid_of

_CONTAINER = "vaccel-agent"
_METRICS_PORT = 9090
_LOADED = re.compile(r"Loaded model (\S+) \((sha256:[0-9a-f]+)")


@dataclass(frozen=True)
class LoadedModel:
    """A model that an agent has loaded ``loads`` times since it started. A log has the beginning of ``sha256`` alone."""

    name: str
    sha256: str
    loads: int


@dataclass(frozen=True)
class AgentFacts:
    """What an agent says of itself. ``models`` is None where it could not be asked: ``note`` says why; ``source``: metrics, log."""

    models: tuple[LoadedModel, ...] | None
    started: float | None = None
    version: str = ""
    source: str = ""
    note: str = ""


@dataclass(frozen=True)
class AgentPod:
    """One agent's pod. ``container`` is its container's id, which is another one after a restart."""

    pod: str
    uid: str
    node: str
    container: str
    image: str
    ready: bool
    restarts: int
    created: datetime | None
    facts: AgentFacts

    @property
    def warm(self) -> bool | None:
        """Whether it could run a model at once; None where that is not known."""
        return None if self.facts.models is None else self.ready and bool(self.facts.models)


def agents(cluster: Cluster, selector: str = SELECTOR) -> list[AgentPod]:
    """Every agent of the namespace, by node."""
    pods = cluster.find(POD, labels=selector)
    with ThreadPoolExecutor(8) as pool:  # each may take seconds not to answer
        found = list(pool.map(lambda pod: _agent(cluster, pod), pods))
    return sorted(found, key=lambda agent: (agent.node, agent.pod))


def _agent(cluster: Cluster, pod: Json) -> AgentPod:
    spec = _main(containers(pod["spec"]))
    status = _main(status_of(pod).get("containerStatuses") or [])
    return AgentPod(
        pod=name_of(pod),
        uid=uid_of(pod),
        node=pod["spec"].get("nodeName", ""),
        container=status.get("containerID", ""),
        image=spec.get("image", ""),
        ready=is_ready(pod),
        restarts=int(status.get("restartCount", 0)),
        created=moment(pod["metadata"].get("creationTimestamp")),
        facts=_facts(cluster, name_of(pod), spec)
        if "running" in status.get("state", {})
        else AgentFacts(None, note="it does not run"),
    )


def _main(found: list[Json]) -> Json:
    """The agent's among the containers."""
    return next((one for one in found if one.get("name") == _CONTAINER), found[0] if found else {})


def _facts(cluster: Cluster, pod: str, container: Json) -> AgentFacts:
    """From its metrics; else from its log."""
    ports = {port.get("name"): int(port["containerPort"]) for port in container.get("ports") or []}
    metrics = _tried(lambda: of_metrics(cluster.through(pod, ports.get("metrics", _METRICS_PORT), "/metrics")))
    if metrics.models is not None:
        return metrics
    log = _tried(lambda: of_log(cluster.log(pod, str(container.get("name", _CONTAINER)))))
    note = f"metrics not read: {metrics.note}" + (f"; log not read: {log.note}" if log.note else "")
    return AgentFacts(log.models, metrics.started, metrics.version, log.source, note)


def _tried(read: Callable[[], AgentFacts]) -> AgentFacts:
    try:
        return read()
    except KnativeError as error:
        return AgentFacts(None, note=str(error))


def of_metrics(text: str) -> AgentFacts:
    """Reads Prometheus' text. An agent that does not count its models has ``models=None``."""
    from prometheus_client.parser import text_string_to_metric_families

    try:
        families = list(text_string_to_metric_families(text))
    except ValueError as error:
        return AgentFacts(None, note=f"they are not Prometheus' text ({error})")
    samples = [sample for family in families for sample in family.samples]
    loads = {sample.labels.get("model", ""): int(sample.value) for sample in samples if sample.name == "vaccel_model_loads_total"}
    loaded = [sample.labels for sample in samples if sample.name == "vaccel_model_loaded" and sample.value]
    started = next((sample.value for sample in samples if sample.name == "process_start_time_seconds"), None)
    version = next((sample.labels.get("version", "") for sample in samples if sample.name == "vaccel_agent_info"), "")
    if started is None or not any(family.name == "vaccel_model_loaded" for family in families):
        return AgentFacts(None, started, version, note="they do not name its models")
    models = (LoadedModel(labels["model"], _digest(labels.get("sha256", "")), loads.get(labels["model"], 1)) for labels in loaded)
    return AgentFacts(tuple(sorted(models, key=lambda model: model.name)), started, version, "metrics")


def of_log(text: str) -> AgentFacts:
    """Counts the lines that tell of a model that was loaded. A log without one says nothing: its beginning may be gone."""
    found = _LOADED.findall(text)
    return AgentFacts(_counted(found), source="log") if found else AgentFacts(None, note="it tells of no model, or no more")


def _counted(found: Iterable[tuple[str, str]]) -> tuple[LoadedModel, ...]:
    found = list(found)
    return tuple(LoadedModel(name, digest, found.count((name, digest))) for name, digest in sorted(set(found)))


def _digest(text: str) -> str:
    return text if not text or text.startswith("sha256:") else f"sha256:{text}"
