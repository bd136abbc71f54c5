"""``deploy``: applies the objects, then waits until they are ready."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from knative.apply import serving
from knative.cluster.api import Cluster
from knative.cluster.objects import Json, is_function, kind_of, name_of, title


@dataclass(frozen=True)
class Applied:
    """What was done with one object; ``result``: created, configured or unchanged."""

    name: str
    result: str


def apply(
    cluster: Cluster,
    objects: Sequence[Json],
    *,
    dry_run: bool,
    explain: Callable[[str], None],
    report: Callable[[Applied], None],
) -> None:
    """Applies the objects in their order and reports each.

    Nothing is applied where a function needs Knative and the cluster lacks it or has one that is
    too old.
    """
    if any(is_function(obj) for obj in objects):
        serving.check(cluster, explain)
    for obj in objects:
        cluster.resource(kind_of(obj))
    for obj in objects:
        report(_apply(cluster, obj, dry_run))


def _apply(cluster: Cluster, obj: Json, dry_run: bool) -> Applied:
    before = cluster.get(kind_of(obj), name_of(obj), obj["metadata"].get("namespace"))
    if before and not dry_run:
        cluster.adopt(before)
    after = cluster.apply(obj, dry_run=dry_run)
    if before is None:
        return Applied(title(obj), "created")
    return Applied(title(obj), "unchanged" if _content(before) == _content(after) else "configured")


def _content(obj: Json) -> Json:
    """The object without its status and versions: versions change with the status too, and a dry
    run never changes them.
    """
    versions = ("resourceVersion", "generation", "managedFields")
    metadata = {key: value for key, value in obj["metadata"].items() if key not in versions}
    return {**{key: value for key, value in obj.items() if key != "status"}, "metadata": metadata}
