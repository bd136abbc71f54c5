"""Records where a run's time went, in its session's profile and in its trace."""

from __future__ import annotations

import time

from agent.batching.requests import CompletedRun
from agent.sessions import RpcSession
from vaccel_common import tracing

#: What upstream's clients show before the name of an agent's region.
_COMPONENT = "vaccel-rpc-agent"

#: A region, its begin and its end, in nanoseconds of the epoch.
_Region = tuple[str, int, int]


def profile(session: RpcSession, began: float, run: CompletedRun, whole: str = "torch_run") -> None:
    """Adds a run's regions to its session's profile.

    ``began``: monotonic seconds. ``whole``: the region of the call, from ``began`` on.
    """
    epoch = _epoch()
    whole_run = _region(whole, began, time.monotonic(), epoch)
    for region, start, end in (whole_run, *_regions(run, epoch)):
        session.profile[region].append((start, end - start))


def named(session: RpcSession) -> dict[str, list[tuple[int, int]]]:
    """A session's profile as clients get it, whose regions carry the component's name."""
    return {f"[{_COMPONENT}] {region}": list(samples) for region, samples in session.profile.items() if samples}


def trace(span: tracing.Span, run: CompletedRun) -> None:
    """Records the spans of a run's regions, as children of its own ``span``."""
    span.set("vaccel.batch.rows", run.rows)
    parent = tracing.child_of(span, None)
    for region, start, end in _regions(run, _epoch()):
        tracing.start(region, parent, start).end(end)


def nanoseconds(seconds: float) -> int:
    """A duration in whole nanoseconds, at least 0."""
    return max(0, round(seconds * 1e9))


def _epoch() -> int:
    """The epoch's time at monotonic 0.

    Of one profile it is read once: between the two readings of the clocks a thread may lose its core,
    and regions that are placed by different readings would not lie within each other.
    """
    return time.time_ns() - time.monotonic_ns()


def _regions(run: CompletedRun, epoch: int) -> tuple[_Region, ...]:
    return (
        _region("queue", run.arrived, run.released, epoch),
        _region("batch", run.released, run.split, epoch),
        _region("forward", run.batch.began, run.batch.ended, epoch),
    )


def _region(name: str, began: float, ended: float, epoch: int) -> _Region:
    return name, epoch + int(began * 1e9), epoch + int(ended * 1e9)
