"""Where a run's time went: into its session's profile, and into its trace."""

from __future__ import annotations

import time

from agent.batching.requests import CompletedRun
from agent.sessions import RpcSession
from vaccel_common import tracing


def profile(session: RpcSession, began: int, done: CompletedRun) -> None:
    """Adds a run's regions to its session's profile; ``began``: nanoseconds of the epoch."""
    samples = session.profile
    samples["torch_run"].append((began, time.time_ns() - began))
    for region, start, end in _regions(done):
        samples[region].append((start, end - start))


def _regions(done: CompletedRun) -> tuple[tuple[str, int, int], ...]:
    """Where a run's time went: region, begin and end; nanoseconds of the epoch."""
    zero = time.time_ns() - time.monotonic_ns()
    return (
        ("queue", zero + int(done.arrived * 1e9), zero + int(done.released * 1e9)),
        ("batch", zero + int(done.released * 1e9), zero + int(done.split * 1e9)),
        ("forward", zero + int(done.batch.began * 1e9), zero + int(done.batch.ended * 1e9)),
    )


def trace(run: tracing.Span, done: CompletedRun) -> None:
    """The spans of a run's regions, within its own."""
    run.set("vaccel.batch.rows", done.rows)
    within = tracing.child_of(run, None)
    for region, start, end in _regions(done):
        tracing.start(region, within, start).end(end)


def nanoseconds(seconds: float) -> int:
    """A duration as it travels."""
    return max(0, round(seconds * 1e9))
