"""Where a run's time went: into its session's profile, and into its trace."""

from __future__ import annotations

import time
from collections.abc import Mapping

from agent.batcher import Done
from agent.sessions import Session
from vaccel_rpc import tracing


def profile(session: Session, began: int, done: Done) -> None:
    """Adds a run's regions to its session's profile; ``began``: nanoseconds of the epoch."""
    ended = time.time_ns()
    session.profile["torch_run"].append((began, ended - began))
    for region, (start, end) in _regions(done).items():
        session.profile[region].append((start, end - start))


def _regions(done: Done) -> dict[str, tuple[int, int]]:
    """Where a run's time went: region -> begin and end, nanoseconds of the epoch."""
    zero = time.time_ns() - nanoseconds(time.monotonic())
    seconds = {
        "queue": (done.arrived, done.released),
        "batch": (done.released, done.split),
        "forward": (done.batch.began, done.batch.ended),
    }
    return {region: (zero + nanoseconds(start), zero + nanoseconds(end)) for region, (start, end) in seconds.items()}


def trace(method: str, metadata: Mapping[str, str], began: int, done: Done) -> None:
    """A run's span, and those of its regions within it."""
    with tracing.start(method, metadata, began, server=True) as run:
        run.set("vaccel.batch.rows", done.rows)
        within = tracing.child_of(run, metadata)
        for region, (start, end) in _regions(done).items():
            tracing.start(region, within, start).end(end)


def nanoseconds(seconds: float) -> int:
    """A duration as it travels."""
    return max(0, round(seconds * 1e9))
