"""How far an applied object is: DaemonSet, Deployment, Knative Service. No network."""

from __future__ import annotations

from dataclasses import dataclass

from knative.apply.why import Reason
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
    """``progress`` in a few words; ``hopeless``: waiting does not help."""

    ready: bool
    progress: str
    hopeless: str = ""


def state_of(made: Json) -> State:
    """How far it is."""
    kind = kind_of(made)
    if kind == KNATIVE_SERVICE:
        return _knative_service(made)
    if not is_current(made):
        return State(False, "not seen by its controller yet")
    return _daemon_set(made) if kind == DAEMON_SET else _deployment(made)


def _daemon_set(made: Json) -> State:
    status = status_of(made)
    desired = int(status.get("desiredNumberScheduled", 0))
    updated, ready = int(status.get("updatedNumberScheduled", 0)), int(status.get("numberReady", 0))
    if not desired:
        return State(False, "on no node", hopeless=_no_node(made))
    on_delete = (made["spec"].get("updateStrategy") or {}).get("type") == "OnDelete"
    done = (updated >= desired or on_delete) and ready >= desired
    return State(done, f"{ready} of {desired} ready" + ("" if updated >= desired else f", {updated} updated"))


def _no_node(made: Json) -> str:
    selector = made["spec"]["template"]["spec"].get("nodeSelector") or {}
    if not selector:
        return "no node is fit for it: see its affinity, and its tolerations against the nodes' taints"
    wanted = " ".join(f"{key}={value}" for key, value in selector.items())
    return f"no node has its nodeSelector {wanted} (without a taint that it does not tolerate): kubectl label node NODE {wanted}"


def _deployment(made: Json) -> State:
    status = status_of(made)
    desired = int(made["spec"].get("replicas", 1))
    updated, ready = int(status.get("updatedReplicas", 0)), int(status.get("readyReplicas", 0))
    done = updated >= desired and ready >= desired and int(status.get("replicas", 0)) <= desired
    return State(done, f"{ready} of {desired} ready" + ("" if updated >= desired else f", {updated} updated"))


def _knative_service(made: Json) -> State:
    status, ready = status_of(made), condition(made, "Ready")
    if not is_current(made) or not ready:
        return State(False, "not seen by Knative yet")
    latest = status.get("latestCreatedRevisionName", "its revision")
    if ready.get("status") == "True":
        return State(True, f"{latest} is ready")
    return State(False, f"{latest} is {'being started' if ready.get('status') == 'Unknown' else 'not ready'}")


def complaints(made: Json) -> list[Reason]:
    """What a Knative object's conditions, or a Deployment's, say against it. That no traffic comes is no complaint."""
    if "knative.dev" not in kind_of(made).group:
        failed = condition(made, "ReplicaFailure")
        return [Reason("admission", one_line(failed.get("message", "")))] if failed.get("status") == "True" else []
    unmet = [
        one for one in conditions(made) if one.get("status") != "True" and one.get("message") and one.get("type") != "Active"
    ]
    by_message = {one["message"]: one for one in reversed(unmet)}  # Ready repeats what another says
    return [Reason("knative", _said(one)) for one in by_message.values()]


def _said(found: Json) -> str:
    return one_line(": ".join(part for part in (found["type"], found.get("reason", ""), found["message"]) if part))
