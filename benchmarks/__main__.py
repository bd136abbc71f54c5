"""Every figure in one run: ``python -m benchmarks``, ``make bench``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from benchmarks.config import EXTRA, PARTS, RunConfig
from benchmarks.results import Results, read
from vaccel_common.commandline import ToolCommand, options

if TYPE_CHECKING:
    from benchmarks.plan import Run

# What a run needs is imported when it begins, so that --help appears at once.


@click.command(cls=ToolCommand, context_settings={"show_default": True, "max_content_width": 120})
@options(RunConfig)
def main(**values: Any) -> None:
    """Measures one part after the other.

    Results are written after each, so that a run may be interrupted and continued.
    """
    from benchmarks.report import fill, write

    config = RunConfig(**values)
    if config.report:
        fill(read(config.report), config.page)
        return
    results = read(config.out)
    _measure(results, config)
    write(results, config.out.parent)
    print(f"{config.out}; the tables are in {config.out.parent / 'results.md'}")


def _measure(results: Results, config: RunConfig) -> None:
    from benchmarks import machine
    from benchmarks.parts import MEASURES
    from benchmarks.plan import log
    from loadkit.processes import raise_file_limit

    raise_file_limit()
    run = _run(config)
    results.texts = {"count": len(run.texts), "from": "a file" if config.texts else "made", **_lengths(run.texts)}
    for name in config.only or [name for name in PARTS if name not in EXTRA]:
        began = time.monotonic()
        results.add(name, MEASURES[name](run), machine.described(), quick=run.plan.quick)
        results.write(config.out)
        log(f"{name}: {time.monotonic() - began:.0f} s")


def _run(config: RunConfig) -> Run:
    from dataclasses import replace

    from benchmarks.plan import FULL, QUICK, Run, log
    from benchmarks.texts import file_or_generated, others

    plan = QUICK if config.quick else FULL
    plan = replace(
        plan,
        repeats=config.repeats or plan.repeats,
        clients=config.clients or plan.clients,
        open_seconds=config.open_seconds or plan.open_seconds,
    )
    measured = file_or_generated(config.texts, 600)
    return Run(
        plan,
        measured,
        others(config.texts, measured),
        peers=config.peers,
        variants=dict(config.variants),
        arrivals=config.arrivals,
        rates=config.rates or (),
        loads=config.loads,
        targets=config.targets or (),
        log=log,
    )


def _lengths(texts: list[str]) -> dict[str, float]:
    from benchmarks.torch_alone import tokens
    from loadkit.stats import percentile

    lengths = [len(row) for row in tokens(texts)]
    return {
        "mean": sum(lengths) / len(lengths),
        "p50": percentile(lengths, 0.5),
        "p99": percentile(lengths, 0.99),
        "most": max(lengths),
    }


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
