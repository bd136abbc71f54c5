"""Records where a run's time went, in its session's profile and in its trace."""

from __future__ import annotations

import time

from agent.batching.requests import CompletedRun
from agent.sessions import RpcSession
from vaccel_common import tracing


def profile(session: RpcSession, began: int, run: CompletedRun) -> None:
    """Adds a run's regions to its session's profile. ``began``: nanoseconds of the epoch."""
    samples = session.profile
    samples["torch_run"].append((began, time.time_ns() - began))
    for region, start, end in _regions(run):
        samples[region].append((start, end - start))


def _regions(run: CompletedRun) -> tuple[tuple[str, int, int], ...]:
    """Each region with its begin and end, in nanoseconds of the epoch."""
    epoch = time.time_ns() - time.monotonic_ns()
    return (
        ("queue", epoch + int(run.arrived * 1e9), epoch + int(run.released * 1e9)),
        ("batch", epoch + int(run.released * 1e9), epoch + int(run.split * 1e9)),
        ("forward", epoch + int(run.batch.began * 1e9), epoch + int(run.batch.ended * 1e9)),
    )


def trace(span: tracing.Span, run: CompletedRun) -> None:
    """Records the spans of a run's regions, as children of its own ``span``."""
    span.set("vaccel.batch.rows", run.rows)
    parent = tracing.child_of(span, None)
    for region, start, end in _regions(run):
        tracing.start(region, parent, start).end(end)


def nanoseconds(seconds: float) -> int:
    """A duration in whole nanoseconds, at least 0."""
    return max(0, round(seconds * 1e9))
