"""The metrics are made after a cold start's first requests, and count these too."""

from __future__ import annotations

import time

from function.telemetry import deferred
from function.telemetry.deferred import MAX_KEPT, DeferredMetrics
from function.telemetry.metrics import FunctionMetrics
from tests.support import inprocess


class Making:
    """Makes the metrics of a service, and counts how often."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> FunctionMetrics:
        self.count += 1
        return FunctionMetrics(inprocess.service())


def observed(metrics: DeferredMetrics, times: int) -> None:
    for _ in range(times):
        metrics.observe(lambda made: made.request("/classify", 200, 0.01))


def requests_in(metrics: DeferredMetrics) -> float:
    lines = metrics.get().exposition().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("function_requests_total"))


def test_the_first_requests_make_nothing() -> None:
    """They are counted once the metrics are asked for, which makes them once."""
    making = Making()
    metrics = DeferredMetrics(making)
    observed(metrics, 3)
    assert making.count == 0
    assert requests_in(metrics) == 3
    observed(metrics, 2)
    assert (requests_in(metrics), making.count) == (5, 1)


def test_they_are_made_though_nobody_asks() -> None:
    """A moment after the first request, so that what is kept does not grow."""
    making = Making()
    metrics = DeferredMetrics(making)
    observed(metrics, 1)
    end = time.monotonic() + deferred.DELAY_S + 20
    while not making.count and time.monotonic() < end:
        time.sleep(0.05)
    assert requests_in(metrics) == 1


def test_what_is_kept_is_bounded() -> None:
    """One observation more than may be kept makes the metrics at once."""
    making = Making()
    metrics = DeferredMetrics(making)
    observed(metrics, MAX_KEPT)
    assert making.count == 0
    observed(metrics, 1)
    assert making.count == 1
    assert requests_in(metrics) == MAX_KEPT + 1
