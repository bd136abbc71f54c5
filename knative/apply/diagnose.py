"""Asks the cluster why something is not ready: its pods, their events and logs, the function's own words."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from knative.apply.overrides import served
from knative.apply.states import complaints
from knative.apply.why import Reason, crashed, newest, reasons
from knative.cluster.api import Cluster
from knative.cluster.errors import Forbidden, KnativeError, one_line
from knative.cluster.objects import (
    EVENT,
    KNATIVE_SERVICE,
    POD,
    REVISION,
    REVISION_LABEL,
    SERVICE_LABEL,
    Json,
    condition,
    is_ending,
    is_ready,
    kind_of,
    label,
    name_of,
    selector_text,
    status_of,
)

_MOST = 5  # pods that are looked at: the others have the same illness
_LAST_LINES = 5
_NONE: list[Json] = []
_T = TypeVar("_T")


class Diagnosis:
    """Looks into things; ``unread`` collects what it was not allowed to read, once each."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.unread: list[str] = []

    def of(self, made: Json) -> list[Reason]:
        """Why it is not ready, as far as that can be read."""
        pods = self._read(lambda: self._pods(made), _NONE)
        found = [reason for pod in pods[:_MOST] for reason in self._of_pod(pod)]
        if kind_of(made) == KNATIVE_SERVICE:
            return found + self._of_revision(made)
        return found + complaints(made) + self._not_created(made, len(pods))

    def _pods(self, made: Json) -> list[Json]:
        if kind_of(made) != KNATIVE_SERVICE:
            labels = selector_text(made["spec"]["selector"].get("matchLabels") or {})
        elif latest := status_of(made).get("latestCreatedRevisionName"):
            labels = f"{SERVICE_LABEL}={name_of(made)},{REVISION_LABEL}={latest}"
        else:
            return []
        return [pod for pod in self._cluster.find(POD, labels=labels) if not is_ready(pod) and not is_ending(pod)]

    def _of_pod(self, pod: Json) -> list[Reason]:
        found = reasons(pod, self._events(name_of(pod)))
        logs = {container: self._last_lines(pod, container, previous) for container, previous in crashed(pod)}
        found = [replace(reason, text=reason.text + logs.pop(reason.container, "")) for reason in found]
        own = self._own_words(pod) if any(reason.kind == "probe" for reason in found) else ""
        return [*found, Reason("probe", own, name_of(pod))] if own else found

    def _events(self, name: str) -> list[Json]:
        return self._read(lambda: self._cluster.find(EVENT, fields=f"involvedObject.name={name}"), _NONE)

    def _last_lines(self, pod: Json, container: str, previous: bool) -> str:
        text = self._read(lambda: self._cluster.log(name_of(pod), container, lines=_LAST_LINES, previous=previous), "")
        lines = [one_line(line) for line in text.splitlines() if line.strip()]
        return f"; it said: {' | '.join(lines)}" if lines else ""

    def _own_words(self, pod: Json) -> str:
        """The function's own answer to the readiness probe: the probe's event has its status alone."""
        if not label(pod, SERVICE_LABEL):
            return ""
        ports = served(pod["spec"]).get("ports") or [{}]
        port = int(ports[0].get("containerPort", 8080))
        answer = self._read(lambda: self._cluster.through(name_of(pod), port, "/health/readiness"), "")
        try:
            problem: Any = json.loads(answer)
        except ValueError:
            return ""
        return one_line(f"the function says: {problem['detail']}") if isinstance(problem, dict) and problem.get("detail") else ""

    def _of_revision(self, made: Json) -> list[Reason]:
        latest = status_of(made).get("latestCreatedRevisionName")
        revision = self._read(lambda: self._cluster.get(REVISION, latest), None) if latest else None
        found = [*(complaints(revision) if revision else []), *complaints(made)]
        return list(dict.fromkeys(found))

    def _not_created(self, made: Json, unready: int) -> list[Reason]:
        """Pods that there should be and are not: an admission rule refuses them."""
        status = status_of(made)
        wanted = status.get("desiredNumberScheduled") or status.get("unavailableReplicas")
        if not wanted or unready or condition(made, "ReplicaFailure"):
            return []
        said = newest(self._events(name_of(made)), "FailedCreate")
        return [Reason("admission", said)] if said else []

    def _read(self, ask: Callable[[], _T], otherwise: _T) -> _T:
        """What may be read without which it goes on."""
        try:
            return ask()
        except KnativeError as error:
            if isinstance(error, Forbidden) and str(error) not in self.unread:
                self.unread.append(str(error))
            return otherwise
