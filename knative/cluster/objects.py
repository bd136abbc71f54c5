"""Kubernetes objects as dicts: the kinds that the commands use, and accessors for what all objects
have. No network.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]

#: The field manager of `deploy`, which is kubectl's: after it `kubectl apply --server-side` of the same
#: files changes nothing, where another manager's would conflict with the defaults that Knative puts
#: into containers. `undeploy` deletes what it has applied.
MANAGER = "kubectl"
#: The field manager of `deploy` in version 0.2.
FORMER_MANAGER = "vaccel-knative"
#: The label selector of the agents' pods.
SELECTOR = "app.kubernetes.io/name=vaccel-agent"
SERVING = "serving.knative.dev"
#: The label that Knative puts on the pods and revisions of a service, and on the pods of a
#: revision.
SERVICE_LABEL, REVISION_LABEL = f"{SERVING}/service", f"{SERVING}/revision"


@dataclass(frozen=True)
class ResourceKind:
    """An API version such as ``apps/v1`` and a kind such as ``DaemonSet``."""

    api_version: str
    kind: str

    @property
    def group(self) -> str:
        """Empty for the core group."""
        return self.api_version.rpartition("/")[0]

    @property
    def version(self) -> str:
        """Such as ``v1``."""
        return self.api_version.rpartition("/")[2]


POD = ResourceKind("v1", "Pod")
EVENT = ResourceKind("v1", "Event")
NAMESPACE = ResourceKind("v1", "Namespace")
NODE = ResourceKind("v1", "Node")
DAEMON_SET = ResourceKind("apps/v1", "DaemonSet")
DEPLOYMENT = ResourceKind("apps/v1", "Deployment")
KNATIVE_SERVICE = ResourceKind(f"{SERVING}/v1", "Service")
REVISION = ResourceKind(f"{SERVING}/v1", "Revision")
POD_AUTOSCALER = ResourceKind("autoscaling.internal.knative.dev/v1alpha1", "PodAutoscaler")
SERVERLESS_SERVICE = ResourceKind("networking.internal.knative.dev/v1alpha1", "ServerlessService")


def kind_of(obj: Json) -> ResourceKind:
    """The kind of an object."""
    return ResourceKind(obj["apiVersion"], obj["kind"])


def title(obj: Json) -> str:
    """As kubectl names it: ``daemonset.apps/vaccel-agent``."""
    kind = kind_of(obj)
    return f"{kind.kind.lower()}{'.' if kind.group else ''}{kind.group}/{name_of(obj)}"


def name_of(obj: Json) -> str:
    """The name of an object."""
    return str(obj["metadata"]["name"])


def uid_of(obj: Json) -> str:
    """The uid that the cluster gave an object; empty where there is none."""
    return str(obj["metadata"].get("uid", ""))


def label(obj: Json, key: str) -> str:
    """The value of a label; empty where the object does not have it."""
    return str((obj["metadata"].get("labels") or {}).get(key, ""))


def status_of(obj: Json) -> Json:
    """The status of an object; empty where there is none."""
    status: Json = obj.get("status") or {}
    return status


def condition(obj: Json, kind: str) -> Json:
    """The condition of a type in the status; empty where there is none."""
    return next((entry for entry in conditions(obj) if entry.get("type") == kind), {})


def conditions(obj: Json) -> list[Json]:
    """All conditions in the status."""
    return list(status_of(obj).get("conditions") or [])


def is_ready(obj: Json) -> bool:
    """Whether the Ready condition is true."""
    return condition(obj, "Ready").get("status") == "True"


def is_current(obj: Json) -> bool:
    """Whether the controller has observed the newest version of the spec."""
    return int(status_of(obj).get("observedGeneration", 0)) >= int(obj["metadata"].get("generation", 0))


def is_ending(obj: Json) -> bool:
    """Whether the object is being deleted."""
    return bool(obj["metadata"].get("deletionTimestamp"))


def containers(pod_spec: Json) -> list[Json]:
    """The containers in the spec of a pod or of a pod template."""
    return list(pod_spec.get("containers") or [])


def moment(text: str | None) -> datetime | None:
    """A timestamp of the API as a time in UTC; None where there is none."""
    return datetime.fromisoformat(text).astimezone(UTC) if text else None


def is_applied(obj: Json) -> bool:
    """Whether `deploy` or kubectl has applied the object."""
    return not managers(obj).isdisjoint((MANAGER, FORMER_MANAGER))


def managers(obj: Json) -> set[str]:
    """The field managers of an object, without those that only write its status."""
    return {str(entry.get("manager")) for entry in _managed_fields(obj) if entry.get("subresource") != "status"}


def renamed_managers(obj: Json) -> list[Json] | None:
    """The object's ``managedFields`` with what version 0.2 of `deploy` has applied as applied by this
    one, so that fields that the files no longer have are removed; None where nothing has to change.
    """
    if FORMER_MANAGER not in managers(obj) or MANAGER in managers(obj):
        return None
    return [entry | ({"manager": MANAGER} if entry.get("manager") == FORMER_MANAGER else {}) for entry in _managed_fields(obj)]


def _managed_fields(obj: Json) -> list[Json]:
    return obj["metadata"].get("managedFields") or []


def selector_text(labels: Json) -> str:
    """``matchLabels`` as a label selector's text."""
    return ",".join(f"{key}={value}" for key, value in labels.items())


def is_function(obj: Json) -> bool:
    """Whether the object is a Knative Service."""
    return kind_of(obj) == KNATIVE_SERVICE
