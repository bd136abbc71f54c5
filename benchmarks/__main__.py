"""Every figure in one run: ``python -m benchmarks``, ``make bench``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmarks.plan import say
from benchmarks.results import Results, read
from loadkit.processes import ROOT

if TYPE_CHECKING:
    from benchmarks.plan import Run

_OUT = ROOT / "build/bench/results.json"
_PAGE = ROOT / "docs/performance.md"
_NAMES = ("throughput", "openloop", "start", "request", "hop", "sessions", "models", "agents", "rules", "tune")


@click.command(context_settings={"show_default": True, "max_content_width": 120})
@click.option("--quick", is_flag=True, help="Two minutes and rough figures, not half an hour.")
@click.option("--only", metavar="PART,...", help=f"Measure these, keep the others: {', '.join(_NAMES)}.")
@click.option("--peers", is_flag=True, help="Beside mosec and LitServe; installs them into environments of their own.")
@click.option("--texts", type=click.Path(exists=True, path_type=Path), help="Texts, one a line, or a .csv with a column 'tweet'.")
@click.option(
    "--variant", "variants", multiple=True, metavar="NAME=OPTIONS", help="The function with more options for its agent."
)
@click.option("--arrivals", type=click.Choice(["poisson", "constant"]), default="poisson", help="Of the open loop.")
@click.option(
    "--rates", metavar="N,...", help="The open loop's requests a second.", show_default="parts of the measured capacity"
)
@click.option("--open-seconds", type=float, help="For each of these rates.", show_default="15, quick: 4")
@click.option("--repeats", type=click.IntRange(1), help="Times that each point is measured.", show_default="3, quick: 1")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=_OUT,
    show_default="build/bench/results.json",
    help="The results; a table and plots are put beside them.",
)
@click.option("--report", type=click.Path(exists=True, path_type=Path), help="Measure nothing: put these results into --page.")
@click.option(
    "--page",
    type=click.Path(path_type=Path),
    default=_PAGE,
    show_default="docs/performance.md",
    help="The page whose tables --report makes.",
)
def main(out: Path, report: Path | None, page: Path, **options: Any) -> None:
    """Measures, one part after the other; the results are written after each, so a run may be ended and continued."""
    from benchmarks.report import fill, write

    if report:
        fill(read(report), page)
        return
    results = read(out)
    _measure(results, out, options)
    write(results, out.parent)
    print(f"{out}; {out.parent / 'results.md'} has the tables")


def _measure(results: Results, out: Path, options: dict[str, Any]) -> None:
    from benchmarks import machine
    from benchmarks.parts import EXTRA, PARTS
    from loadkit.processes import raise_file_limit

    raise_file_limit()
    wanted = options["only"].split(",") if options["only"] else [name for name in PARTS if name not in EXTRA]
    if unknown := set(wanted) - set(PARTS):
        raise click.UsageError(f"--only {','.join(sorted(unknown))}: the parts are {', '.join(PARTS)}")
    run = _run(options)
    results.texts = {"count": len(run.texts), "from": "a file" if options["texts"] else "made", **_lengths(run.texts)}
    for name in wanted:
        began = time.monotonic()
        results.add(name, PARTS[name](run), machine.described(), quick=run.plan.quick)
        results.write(out)
        say(f"{name}: {time.monotonic() - began:.0f} s")


def _run(options: dict[str, Any]) -> Run:
    from dataclasses import replace

    from benchmarks.plan import FULL, QUICK, Run
    from benchmarks.texts import chosen

    plan = QUICK if options["quick"] else FULL
    plan = replace(plan, repeats=options["repeats"] or plan.repeats, open_seconds=options["open_seconds"] or plan.open_seconds)
    variants = dict(given.split("=", 1) for given in options["variants"])
    rates = tuple(float(rate) for rate in options["rates"].split(",")) if options["rates"] else ()
    return Run(plan, chosen(options["texts"], 600), options["peers"], variants, options["arrivals"], rates, say)


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
