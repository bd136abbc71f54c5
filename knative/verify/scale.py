"""How many pods a Knative Service has, watched until there are none."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from knative.cluster.api import Cluster
from knative.cluster.errors import counted
from knative.cluster.objects import KNATIVE_SERVICE, POD, SERVICE_LABEL, Json, name_of, status_of

_MIN_SCALE = ("autoscaling.knative.dev/min-scale", "autoscaling.knative.dev/minScale")


@dataclass(frozen=True)
class Scale:
    """The pods of one Knative Service, looked at every ``poll`` seconds for at most ``limit``; ``tell`` is told how many are left."""

    cluster: Cluster
    service: str
    limit: float
    poll: float
    tell: Callable[[str], None]

    def pods(self) -> list[Json]:
        """All that exist; one that is ending still counts."""
        return self.cluster.find(POD, labels=f"{SERVICE_LABEL}={self.service}")

    def until_none(self) -> float | None:
        """The seconds until there was none; None where some were left in the end."""
        began, said = time.monotonic(), 0
        while left := len(self.pods()):
            if time.monotonic() - began > self.limit:
                return None
            if left != said:
                self.tell(f"waiting until {self.service} scales to zero: {counted(left, 'pod')} left")
            said = left
            time.sleep(self.poll)
        return time.monotonic() - began


def service_at(cluster: Cluster, url: str) -> str | None:
    """The Knative Service of the namespace that has this URL; None where there is none."""
    host = urlsplit(url).hostname
    for made in cluster.find(KNATIVE_SERVICE):
        if urlsplit(status_of(made).get("url", "")).hostname == host:
            return name_of(made)
    return None


def least(service: Json) -> int:
    """The number of pods that it always keeps."""
    annotations = service["spec"]["template"].get("metadata", {}).get("annotations") or {}
    return max(int(annotations.get(name, "0")) for name in _MIN_SCALE)
