"""Waits until what was applied is ready, and says what it waits for."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from knative.apply.diagnose import Diagnosis
from knative.apply.states import ROLLED_OUT, State, state_of
from knative.apply.why import Reason
from knative.cluster.api import Cluster
from knative.cluster.errors import Unreachable
from knative.cluster.objects import Json, kind_of, name_of, title


@dataclass(frozen=True)
class Rollout:
    """One object on its way; ``reasons`` why it is not there yet."""

    name: str
    state: State
    reasons: list[Reason] = field(default_factory=list)

    def shown(self) -> Json:
        """For ``--json``."""
        reasons = [{key: value for key, value in vars(reason).items() if value} for reason in self.reasons]
        return {"object": self.name, "ready": self.state.ready, "progress": self.state.progress, "reasons": reasons}

    @property
    def complaint(self) -> str:
        """Why it is not ready, in one line."""
        why = "; ".join(dict.fromkeys([*([self.state.hopeless] if self.state.hopeless else []), *map(str, self.reasons)]))
        return f"{self.name} is not ready ({self.state.progress}): {why or 'no reason can be seen'}"


Watcher = Callable[[list[Rollout]], None]


def awaited(objects: Sequence[Json]) -> list[Json]:
    """The objects whose rollout can be waited for."""
    return [made for made in objects if kind_of(made) in ROLLED_OUT]


def wait(
    cluster: Cluster, objects: Sequence[Json], *, timeout: float, poll: float, watcher: Watcher
) -> tuple[list[Rollout], list[str]]:
    """Until all are ready, one is hopeless or ``timeout`` seconds are over: how far each is, and what could not be read."""
    end = time.monotonic() + timeout
    diagnosis = Diagnosis(cluster)
    while True:
        found = [_look(cluster, made, diagnosis) for made in objects]
        watcher(found)
        hopeless = any(rollout.state.hopeless for rollout in found)
        if hopeless or all(rollout.state.ready for rollout in found) or time.monotonic() >= end:
            return found, diagnosis.unread
        time.sleep(poll)


def _look(cluster: Cluster, made: Json, diagnosis: Diagnosis) -> Rollout:
    try:
        found = cluster.get(kind_of(made), name_of(made))
    except Unreachable as error:  # it may be back in time
        return Rollout(title(made), State(False, "cannot be seen"), [Reason("starting", str(error))])
    if found is None:
        return Rollout(title(made), State(False, "gone", hopeless="somebody has deleted it"))
    state = state_of(found)
    return Rollout(title(made), state, [] if state.ready or state.hopeless else diagnosis.of(found))
