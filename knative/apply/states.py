"""How far an applied DaemonSet, Deployment or Knative Service is, from its status. No network."""

from __future__ import annotations

from dataclasses import dataclass

from knative.apply.reason import Reason
from knative.cluster.errors import one_line
from knative.cluster.objects import (
    DAEMON_SET,
    DEPLOYMENT,
    KNATIVE_SERVICE,
    Json,
    condition,
    conditions,
    is_current,
    kind_of,
    status_of,
)

#: The kinds whose rollout is waited for.
ROLLED_OUT = (DAEMON_SET, DEPLOYMENT, KNATIVE_SERVICE)


@dataclass(frozen=True)
class State:
    """How far an object is: ``progress`` in a few words; ``hopeless``: why waiting does
    not help.
    """

    ready: bool
    progress: str
    hopeless: str = ""


def state_of(obj: Json) -> State:
    """How far an object is."""
    kind = kind_of(obj)
    if kind == KNATIVE_SERVICE:
        return _knative_service(obj)
    if not is_current(obj):
        return State(False, "not processed by its controller yet")
    return _daemon_set(obj) if kind == DAEMON_SET else _deployment(obj)


def _daemon_set(obj: Json) -> State:
    status = status_of(obj)
    desired = int(status.get("desiredNumberScheduled", 0))
    updated, ready = int(status.get("updatedNumberScheduled", 0)), int(status.get("numberReady", 0))
    if not desired:
        return State(False, "on no node", hopeless=_no_node(obj))
    on_delete = (obj["spec"].get("updateStrategy") or {}).get("type") == "OnDelete"
    done = (updated >= desired or on_delete) and ready >= desired
    return State(done, f"{ready} of {desired} ready" + ("" if updated >= desired else f", {updated} updated"))


def _no_node(obj: Json) -> str:
    selector = obj["spec"]["template"]["spec"].get("nodeSelector") or {}
    if not selector:
        return "no node matches: see its affinity, and its tolerations of the nodes' taints"
    wanted = " ".join(f"{key}={value}" for key, value in selector.items())
    return f"no node has its nodeSelector {wanted} (and no taint that it does not tolerate): kubectl label node NODE {wanted}"


def _deployment(obj: Json) -> State:
    status = status_of(obj)
    desired = int(obj["spec"].get("replicas", 1))
    updated, ready = int(status.get("updatedReplicas", 0)), int(status.get("readyReplicas", 0))
    done = updated >= desired and ready >= desired and int(status.get("replicas", 0)) <= desired
    return State(done, f"{ready} of {desired} ready" + ("" if updated >= desired else f", {updated} updated"))


def _knative_service(obj: Json) -> State:
    status, ready = status_of(obj), condition(obj, "Ready")
    if not is_current(obj) or not ready:
        return State(False, "not processed by Knative yet")
    latest = status.get("latestCreatedRevisionName", "its revision")
    if ready.get("status") == "True":
        return State(True, f"{latest} is ready")
    return State(False, f"{latest} is {'being started' if ready.get('status') == 'Unknown' else 'not ready'}")


def complaints(*objects: Json, stale: str = "") -> list[Reason]:
    """The reasons in the conditions of Knative objects or a Deployment, the innermost object first.

    A condition that repeats the message of another one is left out, as is one with the reason
    ``stale`` or with its message. An inactive revision, one without traffic, is healthy.
    """
    failed = [entry for obj in objects if (entry := condition(obj, "ReplicaFailure")).get("status") == "True"]
    unmet = [entry for obj in objects if "knative.dev" in kind_of(obj).group for entry in conditions(obj) if _is_unmet(entry)]
    shown: list[Json] = []
    for entry in sorted(unmet, key=_outwards):
        if not any(other["message"] in entry["message"] for other in shown):
            shown.append(entry)
    if len(shown) > 1:
        shown = [entry for entry in shown if entry.get("reason") not in _CONSEQUENCES]
    return [Reason("admission", one_line(entry.get("message", ""))) for entry in failed] + [
        Reason("knative", _summary(entry)) for entry in shown if not stale or entry.get("reason") != stale
    ]


#: What a Knative Service says about its route when its revision has failed.
_CONSEQUENCES = ("RevisionMissing",)


def _outwards(entry: Json) -> tuple[bool, int, bool]:
    """Orders conditions from causes to what repeats them: the outer object puts words around the
    inner one's message.
    """
    return entry.get("reason") in _CONSEQUENCES, len(entry["message"]), entry["type"] == "Ready"


def _is_unmet(entry: Json) -> bool:
    return bool(entry.get("status") != "True" and entry.get("message") and entry.get("type") != "Active")


def _summary(entry: Json) -> str:
    return one_line(": ".join(part for part in (entry["type"], entry.get("reason", ""), entry["message"]) if part))
