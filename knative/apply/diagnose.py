"""Reads from the cluster why an object is not ready: its pods, their events and logs, the
function's own explanation.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from knative.apply.overrides import serving_container
from knative.apply.reason import Reason, most_telling, once
from knative.apply.states import complaints
from knative.apply.why import crashed, newest, reasons
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

_MAX_PODS = 5  # the pods of one object fail for the same reasons
_LAST_LINES = 5
_NONE: list[Json] = []
_T = TypeVar("_T")


class Diagnosis:
    """Finds the reasons; ``unread`` collects what it was not allowed to read, once each."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.unread: list[str] = []

    def of(self, obj: Json) -> list[Reason]:
        """Why an object is not ready, as far as that can be read."""
        pods = self._read(lambda: self._pods(obj), _NONE)
        of_pods = [reason for pod in pods[:_MAX_PODS] for reason in self._of_pod(pod)]
        if kind_of(obj) == KNATIVE_SERVICE:
            return once(most_telling([*of_pods, *self._of_revision(obj, has_pods=bool(pods))]))
        return once([*of_pods, *complaints(obj), *self._not_created(obj, len(pods))])

    def _pods(self, obj: Json) -> list[Json]:
        if kind_of(obj) != KNATIVE_SERVICE:
            labels = selector_text(obj["spec"]["selector"].get("matchLabels") or {})
        elif latest := status_of(obj).get("latestCreatedRevisionName"):
            labels = f"{SERVICE_LABEL}={name_of(obj)},{REVISION_LABEL}={latest}"
        else:
            return []
        return [pod for pod in self._cluster.find(POD, labels=labels) if not is_ready(pod) and not is_ending(pod)]

    def _of_pod(self, pod: Json) -> list[Reason]:
        causes = reasons(pod, self._events(name_of(pod)))
        logs = {container: self._last_lines(pod, container, previous) for container, previous in crashed(pod)}
        causes = [replace(reason, text=reason.text + logs.pop(reason.container, "")) for reason in causes]
        problem = self._problem(pod) if any(reason.kind == "probe" for reason in causes) else ""
        return [Reason("probe", problem, name_of(pod))] if problem else causes

    def _events(self, name: str) -> list[Json]:
        return self._read(lambda: self._cluster.find(EVENT, fields=f"involvedObject.name={name}"), _NONE)

    def _last_lines(self, pod: Json, container: str, previous: bool) -> str:
        text = self._read(lambda: self._cluster.log(name_of(pod), container, lines=_LAST_LINES, previous=previous), "")
        lines = [one_line(line) for line in text.split("\n") if line.strip()]
        return f"; its log ends: {' | '.join(lines)}" if lines else ""

    def _problem(self, pod: Json) -> str:
        """The function's own response to the readiness probe, since the probe's event has the
        status alone.
        """
        detail = self._asked(pod, "/health/readiness").get("detail") if label(pod, SERVICE_LABEL) else None
        return one_line(f"the function says: {detail}") if detail else ""

    def without_agent(self, obj: Json) -> list[Reason]:
        """That a ready function reaches no agent: it is ready all the same after a while, so that
        requests get the reason.
        """
        if kind_of(obj) != KNATIVE_SERVICE:
            return []
        pods = self._read(lambda: self._cluster.find(POD, labels=f"{SERVICE_LABEL}={name_of(obj)}"), _NONE)
        for pod in pods:
            listed = self._asked(pod, "/").get("agents") if is_ready(pod) and not is_ending(pod) else None
            agents = [agent for agent in listed if isinstance(agent, dict)] if isinstance(listed, list) else []
            if agents and not any(agent.get("state") == "ready" for agent in agents):
                reasons = (f"{agent.get('address')}: {agent.get('reason')}" for agent in agents)
                return [Reason("agent", one_line(f"ready, but no agent: {'; '.join(reasons)}"), name_of(pod))]
        return []

    def _asked(self, pod: Json, path: str) -> Json:
        """What a function's pod answers; empty where that is not a JSON object."""
        ports = serving_container(pod["spec"]).get("ports") or [{}]
        port = int(ports[0].get("containerPort", 8080))
        try:
            answer: Any = json.loads(self._read(lambda: self._cluster.through(name_of(pod), port, path), ""))
        except ValueError:
            return {}
        return answer if isinstance(answer, dict) else {}

    def _of_revision(self, obj: Json, *, has_pods: bool) -> list[Reason]:
        """What Knative says, unless pods know better: that no node has room for them stays in the
        conditions of the revision when one has.
        """
        latest = status_of(obj).get("latestCreatedRevisionName")
        revision = self._read(lambda: self._cluster.get(REVISION, latest), None) if latest else None
        return complaints(*([revision] if revision else []), obj, stale="Unschedulable" if has_pods else "")

    def _not_created(self, obj: Json, unready: int) -> list[Reason]:
        """Why pods are missing: an admission rule rejects them."""
        status = status_of(obj)
        wanted = status.get("desiredNumberScheduled") or status.get("unavailableReplicas")
        if not wanted or unready or condition(obj, "ReplicaFailure"):
            return []
        message = newest(self._events(name_of(obj)), "FailedCreate")
        return [Reason("admission", message)] if message else []

    def _read(self, read: Callable[[], _T], default: _T) -> _T:
        """What ``read`` returns, or the default where it fails: a diagnosis continues with what can
        be read.
        """
        try:
            return read()
        except KnativeError as error:
            if isinstance(error, Forbidden) and str(error) not in self.unread:
                self.unread.append(str(error))
            return default
