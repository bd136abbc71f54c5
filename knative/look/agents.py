"""The agents: their pods, and the models that each reports as loaded."""

from __future__ import annotations

import re
from collections import Counter
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
    """A model that an agent has loaded ``loads`` times since it started.

    From a log, ``sha256`` is shortened.
    """

    name: str
    sha256: str
    loads: int


@dataclass(frozen=True)
class AgentFacts:
    """What an agent reports.

    ``models`` is None where that could not be read, and ``note`` says why; ``source``: metrics or
    log.
    """

    models: tuple[LoadedModel, ...] | None
    started: float | None = None
    version: str = ""
    source: str = ""
    note: str = ""


@dataclass(frozen=True)
class AgentPod:
    """One agent's pod. ``container`` is the id of its container, which changes with a restart."""

    pod: str
    uid: str
    node: str
    container: str
    image: str
    ready: bool
    restarts: int
    created: datetime | None
    facts: AgentFacts
    of_daemon_set: bool = False

    @property
    def warm(self) -> bool | None:
        """Whether the agent could run a model at once; None where that is unknown."""
        return None if self.facts.models is None else self.ready and bool(self.facts.models)


def agents(cluster: Cluster, selector: str = SELECTOR) -> list[AgentPod]:
    """Every agent of the namespace, sorted by node."""
    pods = cluster.find(POD, labels=selector)
    with ThreadPoolExecutor(8) as pool:  # an agent that does not respond takes seconds
        result = list(pool.map(lambda pod: _agent(cluster, pod), pods))
    return sorted(result, key=lambda agent: (agent.node, agent.pod))


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
        else AgentFacts(None, note="it is not running"),
        of_daemon_set=any(owner.get("kind") == "DaemonSet" for owner in pod["metadata"].get("ownerReferences") or []),
    )


def _main(containers_or_statuses: list[Json]) -> Json:
    """The entry of the agent's container, or the first."""
    first = containers_or_statuses[0] if containers_or_statuses else {}
    return next((entry for entry in containers_or_statuses if entry.get("name") == _CONTAINER), first)


def _facts(cluster: Cluster, pod: str, container: Json) -> AgentFacts:
    """Reads the metrics, or else the log."""
    ports = {port.get("name"): int(port["containerPort"]) for port in container.get("ports") or []}
    metrics = _noted(lambda: of_metrics(cluster.through(pod, ports.get("metrics", _METRICS_PORT), "/metrics")))
    if metrics.models is not None:
        return metrics
    log = _noted(lambda: of_log(cluster.log(pod, str(container.get("name", _CONTAINER)))))
    note = f"metrics not read: {metrics.note}" + (f"; log not read: {log.note}" if log.note else "")
    return AgentFacts(log.models, metrics.started, metrics.version, log.source, note)


def _noted(read: Callable[[], AgentFacts]) -> AgentFacts:
    try:
        return read()
    except KnativeError as error:
        return AgentFacts(None, note=str(error))


def of_metrics(text: str) -> AgentFacts:
    """Reads metrics in Prometheus' text format.

    ``models`` is None for an agent that does not count its models.
    """
    from prometheus_client.parser import text_string_to_metric_families

    try:
        families = list(text_string_to_metric_families(text))
    except ValueError as error:
        return AgentFacts(None, note=f"they are not in Prometheus' text format ({error})")
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
    """Counts the log lines about loaded models.

    A log without any proves nothing, since its beginning may be gone.
    """
    loads = _LOADED.findall(text)
    return AgentFacts(_counted(loads), source="log") if loads else AgentFacts(None, note="it has no line about a loaded model")


def _counted(loads: Iterable[tuple[str, str]]) -> tuple[LoadedModel, ...]:
    counts = Counter(loads)
    return tuple(LoadedModel(name, digest, counts[name, digest]) for name, digest in sorted(counts))


def _digest(text: str) -> str:
    return text if not text or text.startswith("sha256:") else f"sha256:{text}"
