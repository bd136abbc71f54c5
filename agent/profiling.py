"""Records where a run's time went, in its session's profile and in its trace."""

from __future__ import annotations

import time

from agent.batching.requests import CompletedRun
from agent.sessions import ProfiledRun, RpcSession
from vaccel_common import tracing

#: What upstream's clients show before the name of an agent's region.
_COMPONENT = "vaccel-rpc-agent"

#: A region, its begin and its end, in nanoseconds of the epoch.
_Region = tuple[str, int, int]


def profile(session: RpcSession, began: float, run: CompletedRun, whole: str = "torch_run") -> None:
    """Adds a run to its session's profile.

    ``began``: monotonic seconds. ``whole``: the region of the call, from ``began`` on.
    """
    batch = run.batch
    session.runs.append(
        ProfiledRun(whole, _epoch(), began, time.monotonic(), run.arrived, run.released, run.split, batch.began, batch.ended)
    )


def named(session: RpcSession) -> dict[str, list[tuple[int, int]]]:
    """A session's profile as clients get it: the samples of each region, whose name carries the component's."""
    samples: dict[str, list[tuple[int, int]]] = {}
    for run in session.runs:
        for region, start, end in (
            _region(run.whole, run.began, run.over, run.epoch),
            *_regions(run.arrived, run.released, run.split, run.entered, run.left, epoch=run.epoch),
        ):
            samples.setdefault(f"[{_COMPONENT}] {region}", []).append((start, end - start))
    return samples


def trace(span: tracing.Span, run: CompletedRun) -> None:
    """Records the spans of a run's regions, as children of its own ``span``."""
    span.set("vaccel.batch.rows", run.rows)
    parent = tracing.child_of(span, None)
    for region, start, end in _regions(run.arrived, run.released, run.split, run.batch.began, run.batch.ended, epoch=_epoch()):
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


def _regions(arrived: float, released: float, split: float, entered: float, left: float, *, epoch: int) -> tuple[_Region, ...]:
    return (
        _region("queue", arrived, released, epoch),
        _region("batch", released, split, epoch),
        _region("forward", entered, left, epoch),
    )


def _region(name: str, began: float, ended: float, epoch: int) -> _Region:
    return name, epoch + int(began * 1e9), epoch + int(ended * 1e9)
