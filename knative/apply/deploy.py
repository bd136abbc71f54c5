"""``deploy``: applies the objects, then waits until they are ready."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from knative.apply import serving
from knative.apply.manifests import is_function
from knative.cluster.api import Cluster
from knative.cluster.objects import Json, kind_of, name_of, title


@dataclass(frozen=True)
class Applied:
    """``result``: created, configured, unchanged."""

    name: str
    result: str


def apply(
    cluster: Cluster,
    objects: Sequence[Json],
    *,
    dry_run: bool,
    explain: Callable[[str], None],
    told: Callable[[Applied], None],
) -> None:
    """Applies them in their order and tells of each. Nothing is applied where Knative is needed and missing, or too old."""
    if any(is_function(made) for made in objects):
        serving.check(cluster, explain)
    for made in objects:
        cluster.resource(kind_of(made))
    for made in objects:
        told(_apply(cluster, made, dry_run))


def _apply(cluster: Cluster, made: Json, dry_run: bool) -> Applied:
    before = cluster.get(kind_of(made), name_of(made), made["metadata"].get("namespace"))
    after = cluster.apply(made, dry_run=dry_run)
    if before is None:
        return Applied(title(made), "created")
    return Applied(title(made), "unchanged" if _content(before) == _content(after) else "configured")


def _content(made: Json) -> Json:
    """What somebody wants of it. Its versions change with its status too, and a dry run does not change them at all."""
    versions = ("resourceVersion", "generation", "managedFields")
    metadata = {key: value for key, value in made["metadata"].items() if key not in versions}
    return {**{key: value for key, value in made.items() if key != "status"}, "metadata": metadata}
