"""Whether Knative Serving is installed, and new enough."""

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
    """Raises `NotInstalled` or `TooOld`.

    A version that cannot be read is accepted, and explained.
    """
    cluster.resource(KNATIVE_SERVICE)
    label = version(cluster, explain)
    numbers = re.match(r"v?(\d+)\.(\d+)", label)
    if not numbers:
        explain(f"Knative Serving's version is not known ({label or 'no label has it'}): not checked")
    elif (int(numbers[1]), int(numbers[2])) < NEEDED:
        raise TooOld(f"Knative Serving {label} is too old: {NEEDED[0]}.{NEEDED[1]} or newer is needed; upgrade it")


def version(cluster: Cluster, explain: Callable[[str], None]) -> str:
    """The version in the labels of its controller or its namespace; empty where neither has one
    that can be read.
    """
    for kind, name, namespace in ((DEPLOYMENT, "controller", _PLACE), (NAMESPACE, _PLACE, None)):
        try:
            label = _labelled(cluster.get(kind, name, namespace))
        except KnativeError as error:
            explain(f"Knative Serving's version was not read: {error}")
            continue
        if label:
            return label
    return ""


def _labelled(obj: Json | None) -> str:
    metadata = obj["metadata"] if obj else {}
    return str((metadata.get("labels") or {}).get(_VERSION) or (metadata.get("annotations") or {}).get(_VERSION) or "")
