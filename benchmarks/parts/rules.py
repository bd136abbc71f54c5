"""Packing rules in the simulator of `benchmarks.simulate`, with a cost model that is
fitted first.
"""

from __future__ import annotations

from dataclasses import asdict

from agent.cpus import available
from benchmarks.plan import Record, Run
from benchmarks.simulate.engine import simulate
from benchmarks.simulate.grid import measure as fitted
from benchmarks.simulate.rules import all_rules
from benchmarks.simulate.workload import standard
from benchmarks.texts import tweet_lengths

_REQUESTS = 3000


def measure(run: Run) -> list[Record]:
    """Records by ``load`` and ``rule``; the first one has the ``cost`` model instead."""
    run.log("fitting the cost model")
    machine = fitted(2 if run.plan.quick else 7)
    cost = machine.cost
    run.log("simulating")
    records: list[Record] = [{"cost": asdict(cost), "workers": available()}]
    for load in standard(cost, tweet_lengths(_REQUESTS), available()):
        for name, rule in all_rules(cost).items():
            records.append({"load": load.name, "rule": name, **simulate(load, rule, machine, available())[0].as_dict()})
    return records
