"""Compares packing rules in a simulation: ``python -m benchmarks.simulate``."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import Any

import click

from agent.cpus import available
from benchmarks.programs import SimulateConfig
from benchmarks.simulate import cost as costs
from benchmarks.simulate.engine import simulate
from benchmarks.simulate.rules import all_rules
from benchmarks.simulate.workload import capacity, standard
from benchmarks.texts import file_or_generated, tweet_lengths
from vaccel_common.commandline import ToolCommand, options


@click.command(cls=ToolCommand, context_settings={"show_default": True, "max_content_width": 120})
@options(SimulateConfig)
def main(**values: Any) -> None:
    """Simulates every packing rule under every load: p50, p99, requests a second, the worst wait of
    any request.
    """
    config = SimulateConfig(**values)
    if config.fit:
        from benchmarks.simulate.grid import measure

        measure().write(config.cost)
    machine, lengths, workers = costs.read(config.cost), _lengths(config), config.workers or available()
    began = time.perf_counter()
    scenarios: dict[str, dict[str, dict[str, Any]]] = {}
    for load in standard(machine.cost, lengths, workers, config.longest):
        if not config.only or config.only in load.name:
            scenarios[load.name] = {
                name: simulate(load, rule, machine, workers)[0].as_dict() for name, rule in all_rules(machine.cost).items()
            }
    if config.as_json:
        print(json.dumps({"cost": asdict(machine), "workers": workers, "scenarios": scenarios}, indent=1))
        return
    print(f"cost of a batch: {machine.cost}")
    print(f"capacity, sorted in eights on {workers} workers: {capacity(machine.cost, lengths, workers):.0f} requests/s")
    for name, rules in scenarios.items():
        _show(name, rules)
    print(f"\n{config.requests} requests in each, {time.perf_counter() - began:.1f} s")


def _lengths(config: SimulateConfig) -> list[int]:
    if config.texts is None:
        return tweet_lengths(config.requests)
    from benchmarks.torch_alone import tokens

    lengths = [len(row) for row in tokens(file_or_generated(config.texts, config.requests))]
    return [lengths[i % len(lengths)] for i in range(config.requests)]


def _show(name: str, rules: dict[str, dict[str, Any]]) -> None:
    print(f"\n{name:<34}{'p50 ms':>9}{'p99 ms':>9}{'short p99':>10}{'worst wait':>11}{'req/s':>8}{'padding':>9}{'rows':>6}")
    for rule, figures in rules.items():
        print(f"  {rule:<32}{figures['p50_ms']:>9.1f}{figures['p99_ms']:>9.1f}{figures['short_p99_ms']:>10.1f}{figures['worst_wait_ms']:>11.1f}"
              f"{figures['rate']:>8.1f}{figures['padding']:>9.2f}{figures['rows']:>6.1f}")  # fmt: skip


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.simulate")
