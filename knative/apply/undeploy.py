"""``undeploy``: deletes what ``deploy`` has applied."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from knative.cluster.api import Cluster
from knative.cluster.objects import MANAGER, Json, kind_of, managed_by, managers, name_of, title, uid_of


@dataclass(frozen=True)
class Removed:
    """``result``: deleted, absent, kept; ``why`` it was kept."""

    name: str
    result: str
    why: str = ""


def remove(
    cluster: Cluster, objects: Sequence[Json], *, everything: bool, told: Callable[[Removed], None]
) -> list[tuple[Json, str]]:
    """Deletes them, the last first, and tells of each; ``everything``: those of other field managers too. Those being deleted."""
    going = []
    for made in reversed(objects):
        found = cluster.get(kind_of(made), name_of(made)) if cluster.has(kind_of(made)) else None
        if found is None:
            told(Removed(title(made), "absent"))
        elif not everything and not managed_by(found):
            others = ", ".join(sorted(managers(found))) or "nobody known"
            told(Removed(title(made), "kept", f"{MANAGER} has not applied it ({others} has): --all deletes it too"))
        else:
            cluster.delete(kind_of(made), name_of(made), None, uid_of(found))
            told(Removed(title(made), "deleted"))
            going.append((made, uid_of(found)))
    return going


def wait(cluster: Cluster, going: Sequence[tuple[Json, str]], *, timeout: float, poll: float) -> list[str]:
    """Until they and what belongs to them are gone: those that are still there after ``timeout`` seconds."""
    end = time.monotonic() + timeout
    while True:
        left = [made for made, uid in going if _is_there(cluster, made, uid)]
        if not left or time.monotonic() >= end:
            return [title(made) for made in left]
        time.sleep(poll)


def _is_there(cluster: Cluster, made: Json, uid: str) -> bool:
    found = cluster.get(kind_of(made), name_of(made))
    return found is not None and uid_of(found) == uid
