"""A session's profile: where the time of a run went."""

from __future__ import annotations

import itertools
import time

import pytest

from agent import profiling
from agent.batching.requests import CompletedRun
from agent.engines.contract import Batch
from agent.sessions import RpcSession


def test_regions_lie_within_the_run_whatever_the_clock_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that loses its core between two readings of the clocks does not move regions out of their run."""
    began = time.monotonic()
    arrived, released, forward, ended, split = (began + seconds / 1000 for seconds in range(1, 6))
    time.sleep(0.006)
    monotonic, delays = time.monotonic_ns(), itertools.count(0, 1_000_000_000)
    monkeypatch.setattr(time, "monotonic_ns", lambda: monotonic + next(delays))
    session = RpcSession(1, 0)
    for _ in range(2):
        profiling.profile(session, began, CompletedRun([], arrived, released, Batch([], forward, ended), split, 1))
    samples = profiling.named(session)
    for run, queue, batch, model in zip(
        *(samples[f"[vaccel-rpc-agent] {name}"] for name in ("torch_run", "queue", "batch", "forward")), strict=True
    ):
        assert run[0] < queue[0] < batch[0] < model[0]
        assert model[0] + model[1] < batch[0] + batch[1] < run[0] + run[1]
        assert queue[1] + batch[1] < run[1]
