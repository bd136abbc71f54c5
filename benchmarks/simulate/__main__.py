"""Compares packing rules: ``python -m benchmarks.simulate``."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from agent.cpus import available
from benchmarks.simulate import cost as costs
from benchmarks.simulate.engine import simulate
from benchmarks.simulate.rules import all_rules
from benchmarks.simulate.workload import capacity, standard
from benchmarks.texts import chosen, lengths
from loadkit.processes import ROOT

_COST = ROOT / "build/bench/cost.json"


@click.command(context_settings={"show_default": True, "max_content_width": 120})
@click.option("--fit", is_flag=True, help="First measure this machine (half a minute, nothing else running).")
@click.option(
    "--cost", type=click.Path(path_type=Path), default=_COST, show_default="build/bench/cost.json", help="The cost model."
)
@click.option("--workers", type=click.IntRange(1), default=available(), show_default="cores", help="Batches at the same time.")
@click.option("--requests", type=click.IntRange(100), default=3000, help="In each scenario.")
@click.option("--texts", type=click.Path(exists=True, path_type=Path), help="Lengths of these texts, not of the made ones.")
@click.option("--longest", default=512, help="Tokens of the long texts, one in ten, of the last scenario.")
@click.option("--only", help="Only scenarios whose name holds this.")
@click.option("--json", "as_json", is_flag=True, help="JSON, not a table.")
def main(
    fit: bool, cost: Path, workers: int, requests: int, texts: Path | None, longest: int, only: str | None, as_json: bool
) -> None:
    """Every rule under every load: p50, p99, requests a second, the worst wait of any request."""
    if fit:
        from benchmarks.simulate.grid import measure

        measure().write(cost)
    machine, sizes = costs.read(cost), _lengths(texts, requests)
    found: dict[str, dict[str, dict[str, Any]]] = {}
    began = time.perf_counter()
    for load in standard(machine.cost, sizes, workers, longest):
        if not only or only in load.name:
            found[load.name] = {
                name: simulate(load, rule, machine, workers)[0].as_dict() for name, rule in all_rules(machine.cost).items()
            }
    if as_json:
        print(json.dumps({"cost": asdict(machine), "workers": workers, "scenarios": found}, indent=1))
        return
    print(f"cost of a batch: {machine.cost}")
    print(f"capacity, sorted in eights on {workers} workers: {capacity(machine.cost, sizes, workers):.0f} requests/s")
    for name, rules in found.items():
        _show(name, rules)
    print(f"\n{requests} requests in each, {time.perf_counter() - began:.1f} s")


def _lengths(texts: Path | None, count: int) -> list[int]:
    if texts is None:
        return lengths(count)
    from benchmarks.torch_alone import tokens

    sizes = [len(row) for row in tokens(chosen(texts, count))]
    return [sizes[i % len(sizes)] for i in range(count)]


def _show(name: str, rules: dict[str, dict[str, Any]]) -> None:
    print(f"\n{name:<34}{'p50 ms':>9}{'p99 ms':>9}{'short p99':>10}{'worst wait':>11}{'req/s':>8}{'padding':>9}{'rows':>6}")
    for rule, one in rules.items():
        print(f"  {rule:<32}{one['p50_ms']:>9.1f}{one['p99_ms']:>9.1f}{one['short_p99_ms']:>10.1f}{one['worst_wait_ms']:>11.1f}"
              f"{one['rate']:>8.1f}{one['padding']:>9.2f}{one['rows']:>6.1f}")  # fmt: skip


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.simulate")
