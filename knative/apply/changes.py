"""``deploy`` and ``undeploy``: one server-side apply, or one delete, for each object."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from knative.apply import serving
from knative.cluster.api import Cluster
from knative.cluster.objects import Json, is_applied, is_function, kind_of, managers, name_of, title, uid_of


@dataclass(frozen=True)
class Change:
    """What was done with one object; ``result``: created, configured or unchanged; deleted, absent
    or kept, and ``why`` it was kept. ``uid``: of what is being deleted.
    """

    obj: Json
    result: str
    why: str = ""
    uid: str = ""

    def __str__(self) -> str:
        return f"{self.result} {title(self.obj)}{f': {self.why}' if self.why else ''}"


def apply(cluster: Cluster, objects: Sequence[Json], *, dry_run: bool, explain: Callable[[str], None]) -> Iterator[Change]:
    """Applies the objects in their order.

    Nothing is applied where a function needs Knative and the cluster lacks it or has one that is
    too old.
    """
    if any(is_function(obj) for obj in objects):
        serving.check(cluster, explain)
    for obj in objects:
        cluster.resource(kind_of(obj))
    for obj in objects:
        yield Change(obj, _applied(cluster, obj, dry_run))


def _applied(cluster: Cluster, obj: Json, dry_run: bool) -> str:
    before = cluster.get(kind_of(obj), name_of(obj), obj["metadata"].get("namespace"))
    if before and not dry_run:
        cluster.adopt(before)
    after = cluster.apply(obj, dry_run=dry_run)
    if before is None:
        return "created"
    return "unchanged" if _content(before) == _content(after) else "configured"


def _content(obj: Json) -> Json:
    """The object without its status and versions: versions change with the status too, and a dry
    run never changes them.
    """
    versions = ("resourceVersion", "generation", "managedFields")
    metadata = {key: value for key, value in obj["metadata"].items() if key not in versions}
    return {**{key: value for key, value in obj.items() if key != "status"}, "metadata": metadata}


def remove(cluster: Cluster, objects: Sequence[Json], *, everything: bool) -> Iterator[Change]:
    """Deletes the objects, the last one first; with ``everything`` also those that neither `deploy`
    nor kubectl has applied.
    """
    for obj in reversed(objects):
        existing = cluster.get(kind_of(obj), name_of(obj)) if cluster.has(kind_of(obj)) else None
        if existing is None:
            yield Change(obj, "absent")
        elif not everything and not is_applied(existing):
            others = ", ".join(sorted(managers(existing))) or "an unknown manager"
            yield Change(obj, "kept", f"{others} has applied it: --all deletes it too")
        else:
            cluster.delete(kind_of(obj), name_of(obj), None, uid_of(existing))
            yield Change(obj, "deleted", uid=uid_of(existing))


def wait_until_gone(cluster: Cluster, changes: Sequence[Change], *, timeout: float, poll: float) -> list[str]:
    """Waits until what was deleted and what it owns is gone. Returns what still exists after
    ``timeout`` seconds.
    """
    end = time.monotonic() + timeout
    while True:
        left = [change for change in changes if change.uid and _exists(cluster, change)]
        if not left or time.monotonic() >= end:
            return [title(change.obj) for change in left]
        time.sleep(poll)


def _exists(cluster: Cluster, change: Change) -> bool:
    existing = cluster.get(kind_of(change.obj), name_of(change.obj))
    return existing is not None and uid_of(existing) == change.uid
