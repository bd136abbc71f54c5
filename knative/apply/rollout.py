"""Waits until the applied objects are ready, and says why they are not yet."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from knative.apply.diagnose import Diagnosis
from knative.apply.reason import Reason
from knative.apply.states import ROLLED_OUT, State, state_of
from knative.cluster.api import Cluster
from knative.cluster.errors import Unreachable
from knative.cluster.objects import Json, kind_of, name_of, title


@dataclass(frozen=True)
class Rollout:
    """How far one object is, and the ``reasons`` why it is not ready, or of little use though it is."""

    name: str
    state: State
    reasons: list[Reason] = field(default_factory=list)

    def shown(self) -> Json:
        """As an object for ``--json``."""
        reasons = [{key: value for key, value in vars(reason).items() if value} for reason in self.reasons]
        return {"object": self.name, "ready": self.state.ready, "progress": self.state.progress, "reasons": reasons}

    @property
    def complaint(self) -> str:
        """Why it is not ready, in one line."""
        why = "; ".join(dict.fromkeys([*([self.state.hopeless] if self.state.hopeless else []), *map(str, self.reasons)]))
        return f"{self.name} is not ready ({self.state.progress}): {why or 'the cluster shows no reason'}"


Watcher = Callable[[list[Rollout]], None]


def awaited(objects: Sequence[Json]) -> list[Json]:
    """The objects whose rollout can be waited for."""
    return [obj for obj in objects if kind_of(obj) in ROLLED_OUT]


def wait(
    cluster: Cluster, objects: Sequence[Json], *, timeout: float, poll: float, watcher: Watcher
) -> tuple[list[Rollout], list[str]]:
    """Waits until all are ready, one is hopeless, or ``timeout`` seconds have passed.

    Returns how far each is, and what could not be read.
    """
    end = time.monotonic() + timeout
    diagnosis = Diagnosis(cluster)
    while True:
        rollouts = [_look(cluster, obj, diagnosis) for obj in objects]
        watcher(rollouts)
        if all(rollout.state.ready for rollout in rollouts):
            rollouts = [replace(each, reasons=diagnosis.without_agent(obj)) for each, obj in zip(rollouts, objects, strict=True)]
            watcher(rollouts)
            return rollouts, diagnosis.unread
        if any(rollout.state.hopeless for rollout in rollouts) or time.monotonic() >= end:
            return rollouts, diagnosis.unread
        time.sleep(poll)


def _look(cluster: Cluster, obj: Json, diagnosis: Diagnosis) -> Rollout:
    try:
        current = cluster.get(kind_of(obj), name_of(obj))
    except Unreachable as error:  # it may return in time
        return Rollout(title(obj), State(False, "unreachable"), [Reason("starting", str(error))])
    if current is None:
        return Rollout(title(obj), State(False, "gone", hopeless="it was deleted meanwhile"))
    state = state_of(current)
    return Rollout(title(obj), state, [] if state.ready or state.hopeless else diagnosis.of(current))
