"""Knative Serving itself: is it there, is it new enough."""

from __future__ import annotations

import re
from collections.abc import Callable

from knative.cluster.api import Cluster
from knative.cluster.errors import KnativeError, TooOld
from knative.cluster.objects import DEPLOYMENT, KNATIVE_SERVICE, NAMESPACE, Json

#: The oldest Serving whose fields and annotations the manifests need.
NEEDED = (1, 15)
_PLACE = "knative-serving"
_VERSION = "app.kubernetes.io/version"


def check(cluster: Cluster, explain: Callable[[str], None]) -> None:
    """Raises `NotInstalled` or `TooOld`. A version that cannot be read is not held against it, but explained."""
    cluster.resource(KNATIVE_SERVICE)
    found = version(cluster, explain)
    numbers = re.match(r"v?(\d+)\.(\d+)", found)
    if not numbers:
        explain(f"Knative Serving's version is not known ({found or 'no label has it'}): not checked")
    elif (int(numbers[1]), int(numbers[2])) < NEEDED:
        raise TooOld(f"Knative Serving {found} is too old: {NEEDED[0]}.{NEEDED[1]} or newer is needed; upgrade it")


def version(cluster: Cluster, explain: Callable[[str], None]) -> str:
    """As its controller or its namespace is labelled; empty where neither says it or may be read."""
    for kind, name, namespace in ((DEPLOYMENT, "controller", _PLACE), (NAMESPACE, _PLACE, None)):
        try:
            found = _labelled(cluster.get(kind, name, namespace))
        except KnativeError as error:
            explain(f"Knative Serving's version was not read: {error}")
            continue
        if found:
            return found
    return ""


def _labelled(made: Json | None) -> str:
    metadata = made["metadata"] if made else {}
    return str((metadata.get("labels") or {}).get(_VERSION) or (metadata.get("annotations") or {}).get(_VERSION) or "")
