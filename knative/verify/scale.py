"""How many pods a Knative Service has, observed until there are none."""

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
    """The pods of one Knative Service. ``limit`` and ``poll``: how long they are waited for, and
    how often counted, in seconds.

    ``note`` is called with how many are left.
    """

    cluster: Cluster
    service: str
    limit: float
    poll: float
    note: Callable[[str], None]

    def pods(self) -> list[Json]:
        """Every pod that exists, including those that are terminating."""
        return self.cluster.find(POD, labels=f"{SERVICE_LABEL}={self.service}")

    def until_none(self) -> float | None:
        """Waits until no pod exists; the seconds that took, or None where some were left at the
        limit.
        """
        began, reported = time.monotonic(), 0
        while left := len(self.pods()):
            if time.monotonic() - began > self.limit:
                return None
            if left != reported:
                self.note(f"waiting until {self.service} scales to zero: {counted(left, 'pod')} left")
            reported = left
            time.sleep(self.poll)
        return time.monotonic() - began


def service_at(cluster: Cluster, url: str) -> str | None:
    """The name of the Knative Service in the namespace with this URL; None where there is none."""
    host = urlsplit(url).hostname
    for service in cluster.find(KNATIVE_SERVICE):
        if urlsplit(status_of(service).get("url", "")).hostname == host:
            return name_of(service)
    return None


def min_scale(service: Json) -> int:
    """The number of pods that a Knative Service always keeps."""
    annotations = service["spec"]["template"].get("metadata", {}).get("annotations") or {}
    return max(int(annotations.get(name, "0")) for name in _MIN_SCALE)
