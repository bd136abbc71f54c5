"""How many pods a Knative Service has, observed until there are none."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from knative.cluster.api import Cluster
from knative.cluster.errors import KnativeError, counted
from knative.cluster.objects import KNATIVE_SERVICE, POD, SERVERLESS_SERVICE, SERVICE_LABEL, Json, is_ending, name_of, status_of

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
        """Every pod that is not terminating."""
        return [pod for pod in self._all_pods() if not is_ending(pod)]

    def left(self) -> str:
        """What keeps the service from being at zero, in words; empty where it is.

        It is at zero once no pod is left that is not terminating and the activator is in the
        requests' path, by the mode of its ServerlessServices. Where these cannot be read, terminating
        pods count too: Knative drains them for half a minute.
        """
        modes = self._modes()
        pods = self._all_pods() if modes is None else self.pods()
        if pods:
            return counted(len(pods), "pod")
        return "" if modes is None or modes <= {"Proxy"} else "a route past the activator"

    def _all_pods(self) -> list[Json]:
        return self.cluster.find(POD, labels=self._selector)

    def _modes(self) -> set[str] | None:
        try:
            services = self.cluster.find(SERVERLESS_SERVICE, labels=self._selector)
        except KnativeError:
            return None
        return {str(service["spec"].get("mode")) for service in services} or None

    @property
    def _selector(self) -> str:
        return f"{SERVICE_LABEL}={self.service}"

    def until_none(self) -> float | None:
        """Waits until the service is at zero; the seconds that took, or None where it was not at
        the limit.
        """
        began, reported = time.monotonic(), ""
        while left := self.left():
            if time.monotonic() - began > self.limit:
                return None
            if left != reported:
                self.note(f"waiting until {self.service} scales to zero: {left} left")
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
