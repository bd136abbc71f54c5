"""Kubernetes objects as dicts: which kinds are asked for, and how to read what all have in common. No network."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]

#: Who applies: what `undeploy` goes by.
MANAGER = "vaccel-knative"
#: The label that every agent's pod has.
SELECTOR = "app.kubernetes.io/name=vaccel-agent"
SERVING = "serving.knative.dev"
#: The label that Knative puts on the pods and revisions of a service, and on the pods of a revision.
SERVICE_LABEL, REVISION_LABEL = f"{SERVING}/service", f"{SERVING}/revision"


@dataclass(frozen=True)
class Kind:
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


POD = Kind("v1", "Pod")
EVENT = Kind("v1", "Event")
NAMESPACE = Kind("v1", "Namespace")
DAEMON_SET = Kind("apps/v1", "DaemonSet")
DEPLOYMENT = Kind("apps/v1", "Deployment")
KNATIVE_SERVICE = Kind(f"{SERVING}/v1", "Service")
REVISION = Kind(f"{SERVING}/v1", "Revision")
POD_AUTOSCALER = Kind("autoscaling.internal.knative.dev/v1alpha1", "PodAutoscaler")


def kind_of(made: Json) -> Kind:
    """An object's kind."""
    return Kind(made["apiVersion"], made["kind"])


def title(made: Json) -> str:
    """As kubectl names it: ``daemonset.apps/vaccel-agent``."""
    kind = kind_of(made)
    return f"{kind.kind.lower()}{'.' if kind.group else ''}{kind.group}/{name_of(made)}"


def name_of(made: Json) -> str:
    """Its name."""
    return str(made["metadata"]["name"])


def uid_of(made: Json) -> str:
    """Its uid; empty where there is none."""
    return str(made["metadata"].get("uid", ""))


def label(made: Json, key: str) -> str:
    """A label's value; empty where there is none."""
    return str((made["metadata"].get("labels") or {}).get(key, ""))


def status_of(made: Json) -> Json:
    """Its status; empty where there is none."""
    status: Json = made.get("status") or {}
    return status


def condition(made: Json, kind: str) -> Json:
    """One of its status's conditions; empty where it has none of the kind."""
    return next((found for found in conditions(made) if found.get("type") == kind), {})


def conditions(made: Json) -> list[Json]:
    """Its status's conditions."""
    return list(status_of(made).get("conditions") or [])


def is_ready(made: Json) -> bool:
    """Whether its Ready condition is true."""
    return condition(made, "Ready").get("status") == "True"


def is_current(made: Json) -> bool:
    """Whether its controller has seen the newest version of its spec."""
    return int(status_of(made).get("observedGeneration", 0)) >= int(made["metadata"].get("generation", 0))


def is_ending(made: Json) -> bool:
    """Whether it is being deleted."""
    return bool(made["metadata"].get("deletionTimestamp"))


def containers(pod_spec: Json) -> list[Json]:
    """The containers of a pod's spec or a template's."""
    return list(pod_spec.get("containers") or [])


def moment(text: str | None) -> datetime | None:
    """A timestamp of the API, with its time zone."""
    return datetime.fromisoformat(text).astimezone(UTC) if text else None


def managed_by(made: Json, manager: str = MANAGER) -> bool:
    """Whether ``manager`` has applied it."""
    return manager in managers(made)


def managers(made: Json) -> set[str]:
    """The field managers of its spec, not those that only write its status."""
    fields = made["metadata"].get("managedFields") or []
    return {str(field.get("manager")) for field in fields if field.get("subresource") != "status"}


def selector_text(labels: Json) -> str:
    """``matchLabels`` as a label selector's text."""
    return ",".join(f"{key}={value}" for key, value in labels.items())
