"""Each past fault of the pool, with real processes: every request is answered once and rightly, or the fault explains its code."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import cycle

import pytest

from benchmarks.chaos.report import problems
from benchmarks.chaos.run import ChaosResult, measure
from benchmarks.chaos.schedules import SCHEDULES
from benchmarks.programs import ADDRESS_KINDS, ChaosConfig

pytestmark = pytest.mark.timeout(180)

#: Kinds of addresses in turn, and those with a name for a schedule of names.
KINDS = [
    (name, "tcp" if "name" in name or "record" in name else kind)
    for name, kind in zip(SCHEDULES, cycle(ADDRESS_KINDS), strict=False)
]


@pytest.fixture(scope="module")
def results() -> Iterator[dict[str, Future[ChaosResult]]]:
    """What happens in each schedule; three run at a time, since they mostly wait."""
    with ThreadPoolExecutor(3) as pool:
        yield {
            name: pool.submit(measure, ChaosConfig(schedule=name, address_kind=kind, clients=8, limit=3.0), print)
            for name, kind in KINDS
        }


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_past_fault_costs_what_is_documented(name: str, results: dict[str, Future[ChaosResult]]) -> None:
    """The schedule runs as a whole and leaves no problem."""
    result = results[name].result()
    assert problems(result) == []
    assert [window.step for window in result.windows] == list(SCHEDULES[name].steps)
