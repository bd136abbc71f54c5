"""``undeploy``: deletes what ``deploy`` has applied."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from knative.cluster.api import Cluster
from knative.cluster.objects import Json, is_applied, kind_of, managers, name_of, title, uid_of


@dataclass(frozen=True)
class Removed:
    """What was done with one object; ``result``: deleted, absent or kept, and ``why`` it
    was kept.
    """

    name: str
    result: str
    why: str = ""


def remove(
    cluster: Cluster, objects: Sequence[Json], *, everything: bool, report: Callable[[Removed], None]
) -> list[tuple[Json, str]]:
    """Deletes the objects, the last one first, and reports each. Returns those that are being
    deleted, with their uids.

    ``everything``: also those that neither `deploy` nor kubectl has applied.
    """
    deleted = []
    for obj in reversed(objects):
        existing = cluster.get(kind_of(obj), name_of(obj)) if cluster.has(kind_of(obj)) else None
        if existing is None:
            report(Removed(title(obj), "absent"))
        elif not everything and not is_applied(existing):
            others = ", ".join(sorted(managers(existing))) or "an unknown manager"
            report(Removed(title(obj), "kept", f"{others} has applied it: --all deletes it too"))
        else:
            cluster.delete(kind_of(obj), name_of(obj), None, uid_of(existing))
            report(Removed(title(obj), "deleted"))
            deleted.append((obj, uid_of(existing)))
    return deleted


def wait(cluster: Cluster, deleted: Sequence[tuple[Json, str]], *, timeout: float, poll: float) -> list[str]:
    """Waits until the objects and what they own are gone. Returns those that still exist after
    ``timeout`` seconds.
    """
    end = time.monotonic() + timeout
    while True:
        left = [obj for obj, uid in deleted if _exists(cluster, obj, uid)]
        if not left or time.monotonic() >= end:
            return [title(obj) for obj in left]
        time.sleep(poll)


def _exists(cluster: Cluster, obj: Json, uid: str) -> bool:
    existing = cluster.get(kind_of(obj), name_of(obj))
    return existing is not None and uid_of(existing) == uid
