"""The functions: Knative Services, their revisions, and how many pods each has."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from knative.cluster.api import Cluster
from knative.cluster.errors import KnativeError
from knative.cluster.objects import (
    KNATIVE_SERVICE,
    POD,
    POD_AUTOSCALER,
    REVISION,
    REVISION_LABEL,
    SERVICE_LABEL,
    Json,
    ResourceKind,
    condition,
    is_ending,
    is_ready,
    label,
    moment,
    name_of,
    status_of,
)


@dataclass(frozen=True)
class ColdStart:
    """The time from a pod's creation until it was ready, by the cluster's clock, in whole
    seconds.
    """

    seconds: float
    at: datetime
    pod: str


@dataclass(frozen=True)
class Revision:
    """One revision and its pods.

    ``desired`` is None where the autoscaler does not know it, or its object is unreadable;
    ``actual`` counts ready pods where the autoscaler's figure is missing.
    """

    name: str
    ready: bool
    reason: str
    percent: int
    desired: int | None
    actual: int
    last_cold_start: ColdStart | None


@dataclass(frozen=True)
class KnativeFunction:
    """One Knative Service; ``traffic``: revision, percent and tag of each share."""

    name: str
    url: str
    ready: bool
    reason: str
    latest: str
    traffic: list[tuple[str, int, str]]
    revisions: list[Revision] = field(default_factory=list)


def functions(cluster: Cluster, unread: list[str]) -> list[KnativeFunction]:
    """Every Knative Service of the namespace.

    Why something could not be read is appended to ``unread``.
    """
    services = cluster.find(KNATIVE_SERVICE)
    revisions = _by(SERVICE_LABEL, _optional(cluster, REVISION, unread)) if services else {}
    pods = _by(REVISION_LABEL, _optional(cluster, POD, unread, SERVICE_LABEL)) if services else {}
    scalers = {name_of(scaler): scaler for scaler in _optional(cluster, POD_AUTOSCALER, unread)} if services else {}
    services = sorted(services, key=name_of)
    return [_function(service, revisions.get(name_of(service), []), pods, scalers) for service in services]


def _optional(cluster: Cluster, kind: ResourceKind, unread: list[str], labels: str = "") -> list[Json]:
    try:
        return cluster.find(kind, labels=labels)
    except KnativeError as error:
        unread.append(str(error))
        return []


def _by(key: str, objects: list[Json]) -> dict[str, list[Json]]:
    groups: dict[str, list[Json]] = defaultdict(list)
    for obj in objects:
        groups[label(obj, key)].append(obj)
    return groups


def _function(service: Json, revisions: list[Json], pods: dict[str, list[Json]], scalers: dict[str, Json]) -> KnativeFunction:
    status = status_of(service)
    traffic = [
        (str(target.get("revisionName", "")), int(target.get("percent") or 0), str(target.get("tag", "")))
        for target in status.get("traffic") or []
    ]
    newest_first = sorted(
        revisions, key=lambda obj: (str(obj["metadata"].get("creationTimestamp", "")), name_of(obj)), reverse=True
    )
    return KnativeFunction(
        name=name_of(service),
        url=status.get("url", ""),
        ready=is_ready(service),
        reason=_reason(service),
        latest=status.get("latestReadyRevisionName") or status.get("latestCreatedRevisionName", ""),
        traffic=traffic,
        revisions=[_revision(obj, traffic, pods.get(name_of(obj), []), scalers.get(name_of(obj))) for obj in newest_first],
    )


def _revision(obj: Json, traffic: list[tuple[str, int, str]], pods: list[Json], scaler: Json | None) -> Revision:
    scale = status_of(scaler) if scaler else {}
    actual = _known(scale.get("actualScale"))
    return Revision(
        name=name_of(obj),
        ready=is_ready(obj),
        reason=_reason(obj),
        percent=sum(percent for name, percent, _ in traffic if name == name_of(obj)),
        desired=_known(scale.get("desiredScale")),
        actual=sum(is_ready(pod) and not is_ending(pod) for pod in pods) if actual is None else actual,
        last_cold_start=last_cold_start(pods),
    )


def _known(scale: int | None) -> int | None:
    """A scale in a PodAutoscaler's status, where -1 stands for an unknown one."""
    return None if scale is None or scale < 0 else scale


def _reason(obj: Json) -> str:
    entry = condition(obj, "Ready")
    return "" if is_ready(obj) else ": ".join(part for part in (entry.get("reason"), entry.get("message")) if part)


def last_cold_start(pods: list[Json]) -> ColdStart | None:
    """The cold start of the pod that became ready last; None where no such pod is left."""
    starts = [start for pod in pods if (start := cold_start(pod))]
    return max(starts, key=lambda start: start.at, default=None)


def cold_start(pod: Json) -> ColdStart | None:
    """How long a pod took to become ready; None where it is not ready."""
    created, ready = moment(pod["metadata"].get("creationTimestamp")), moment(condition(pod, "Ready").get("lastTransitionTime"))
    if not created or not ready or not is_ready(pod):
        return None
    return ColdStart((ready - created).total_seconds(), ready, name_of(pod))
