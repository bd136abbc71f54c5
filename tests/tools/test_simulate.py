"""The simulator of the batcher: exact results of small scenarios, and what the shipped rule promises."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from agent.engines.cost import UNKNOWN, Cost, fit
from agent.engines.layout import Shape
from agent.packing import BatchLimits
from benchmarks.simulate.cost import Machine, read
from benchmarks.simulate.engine import SimulatedRequest, simulate
from benchmarks.simulate.rules import Waiting, all_rules, arrival, cheapest, packed, padded, shortest, window
from benchmarks.simulate.workload import TURN, Workload, bursts, capacity, closed, mixed, poisson, standard
from benchmarks.texts import tweet_lengths

#: A batch takes a second, and one more for each row.
ROWS = Machine(Cost(a=1, b=1, c=0, d=0))
#: As a model on a CPU: 3 ms, and 0.2 for a token.
REAL = Machine(Cost(0.003, 0, 0.0002, 0))


def waiting(*sizes: int) -> list[Waiting]:
    return [Waiting(float(i), Shape("model", size)) for i, size in enumerate(sizes)]


def times(served: list[SimulatedRequest]) -> list[tuple[float, float]]:
    return [(request.started, request.ended) for request in sorted(served, key=lambda request: request.arrived)]


def test_one_worker_runs_what_has_come_meanwhile_together() -> None:
    """The first runs alone for 2 s; the two that came meanwhile run together for 3 s."""
    summary, served = simulate(Workload("", [10, 10, 10], [0, 0.5, 1]), packed(ROWS.cost, BatchLimits()), ROWS, 1)
    assert times(served) == [(0, 2), (2, 5), (2, 5)]
    assert [(request.ahead, request.batches) for request in served] == [(0, 1), (0, 1), (1, 1)]
    assert summary.rate == pytest.approx(3 / 5)
    assert summary.worst_wait_ms == pytest.approx(1500)
    assert (summary.p50_ms, summary.p99_ms, summary.rows, summary.padding) == (4000, 4500, 1.5, 0)


def test_two_workers_run_side_by_side() -> None:
    """Two that come at once run at once; the third waits for the first that is free."""
    _, served = simulate(Workload("", [10, 10, 10], [0, 0, 0]), arrival(1), ROWS, 2)
    assert times(served) == [(0, 2), (0, 2), (2, 4)]


def test_a_lone_request_has_every_core() -> None:
    """The first of two finds an idle machine, the second does not."""
    _, served = simulate(Workload("", [10, 10], [0, 0.5]), arrival(1), Machine(Cost(a=2, b=0, c=0, d=0), alone=0.5), 2)
    assert times(served) == [(0, 1), (0.5, 2.5)]


def test_a_closed_loop_sends_when_it_is_answered() -> None:
    """One client: each request comes a turn after the answer to the one before."""
    _, served = simulate(closed("", 1, [10] * 3), arrival(8), ROWS, 1)
    assert [request.arrived for request in served] == pytest.approx([0, 2 + TURN, 4 + 2 * TURN])


def test_padding_is_counted() -> None:
    """10 and 30 tokens together are 60, of which 20 are padding."""
    summary, _ = simulate(Workload("", [10, 10, 30], [0, 1, 1.5]), arrival(8), ROWS, 1)
    assert summary.padding == pytest.approx(1 - 50 / 70)


@pytest.mark.parametrize("load", standard(REAL.cost, tweet_lengths(600), 2), ids=lambda load: load.name)
def test_everything_is_answered_once(load: Workload) -> None:
    """Every rule answers every request once, under every load."""
    for rule in all_rules(REAL.cost).values():
        _, served = simulate(load, rule, REAL, 2)
        assert sorted(request.length for request in served) == sorted(load.lengths)
        assert all(request.arrived <= request.started < request.ended for request in served)


@pytest.mark.parametrize("seed", range(5))
def test_the_shipped_rule_starves_nobody(seed: int) -> None:
    """Every batch holds the oldest: who finds n waiting begins with the n + 1st batch at the latest."""
    sizes = mixed(tweet_lengths(800, seed), 512, seed)
    load = poisson("", 1.1 * capacity(REAL.cost, sizes, 2), sizes, seed)
    _, served = simulate(load, next(iter(all_rules(REAL.cost).values())), REAL, 2)
    assert max(request.ahead for request in served) > 8
    assert all(request.batches <= request.ahead + 1 for request in served)


def test_the_bound_fails_for_a_rule_that_starves() -> None:
    """Shortest first lets the longest wait: the bound above is one that can fail."""
    load = poisson("", 1.1 * capacity(REAL.cost, tweet_lengths(800), 2), tweet_lengths(800))
    _, served = simulate(load, shortest(REAL.cost, 8, float("inf")), REAL, 2)
    assert any(request.batches > request.ahead + 1 for request in served)


def test_rules_choose() -> None:
    """Each rule takes its own choice of the same queue."""
    queue = waiting(20, 100, 22, 90, 5)
    assert packed(Cost(2, 0, 0.1, 0), BatchLimits(rows=4))(queue, 5, 1) == [0, 2]
    assert packed(Cost(2, 0, 0.1, 0), BatchLimits(rows=4, padding=1))(queue, 5, 1) == [0, 2, 4]
    assert padded(4, 0.25)(queue, 5, 1) == [0, 2]
    assert arrival(3)(queue, 5, 1) == [0, 1, 2]
    assert sorted(window(5, 2)(queue, 5, 1)) == [0, 2]
    assert sorted(cheapest(Cost(2, 0, 0.1, 0), 3)(queue, 5, 1)) == [0, 2, 4]
    assert sorted(shortest(UNKNOWN, 2, 100)(queue, 5, 1)) == [0, 4]
    assert 0 in shortest(UNKNOWN, 2, 5)(waiting(100, 5, 5), 5, 1)
    assert arrival(4)(queue, 5, 2) == [0, 1, 2], "half of what waits is left for the other free worker"


def test_the_fit_finds_the_numbers_that_made_the_points() -> None:
    """Points of a known model give it back."""
    true = Cost(0.002, 0.0001, 0.0002, 1e-7)
    points = [(rows, length, true.seconds(rows, length)) for rows in (1, 2, 8) for length in (8, 32, 64, 128)]
    fitted = fit(points)
    assert (fitted.a, fitted.b, fitted.c, fitted.d) == pytest.approx((true.a, true.b, true.c, true.d), rel=1e-6)
    assert fitted.error == pytest.approx(0, abs=1e-6)


def test_the_fit_of_one_length_knows_rows_alone() -> None:
    """Where every point has the same length, the fit predicts by rows alone."""
    fitted = fit([(rows, 1, 0.001 + 0.0002 * rows) for rows in (1, 4, 8)])
    assert fitted.seconds(2, 1) == pytest.approx(0.0014, rel=1e-6)


def test_the_fit_has_no_negative_numbers() -> None:
    """Noise that would ask for one gets 0."""
    chance = random.Random(1)
    points = [(rows, length, 0.0002 * rows * length * chance.uniform(0.9, 1.1)) for rows in (1, 4, 8) for length in (8, 64, 128)]
    fitted = fit(points)
    assert min(fitted.a, fitted.b, fitted.c, fitted.d) >= 0
    assert fitted.seconds(4, 64) == pytest.approx(0.0512, rel=0.1)


def test_a_cost_model_survives_its_file(tmp_path: Path) -> None:
    """A cost model is read as it was written; without a file it is the default."""
    path = tmp_path / "bench/cost.json"
    assert read(path).cost.a > 0
    Machine(Cost(1, 2, 3, 4, 0.1), 0.5).write(path)
    assert read(path) == Machine(Cost(1, 2, 3, 4, 0.1), 0.5)


def test_loads() -> None:
    """Bursts come together, and one request in ten is long."""
    assert bursts("", 2, 5, [1] * 4).times == pytest.approx([0, 0.0005, 5, 5.0005])
    assert 60 < sum(length == 512 for length in mixed([10] * 1000, 512)) < 140
    assert capacity(Cost(1, 0, 0, 0), [10] * 16, 2) == pytest.approx(16)
