"""Faults of agents, links and names under load: ``python -m benchmarks.chaos``; exit code 1 where a
request was not answered once, rightly and in time, or failed without a documented reason.
"""

from __future__ import annotations

import sys
from typing import Any

import click

from benchmarks.chaos.report import markdown, problems
from benchmarks.chaos.run import NotHere, measure
from benchmarks.chaos.schedules import SCHEDULES
from benchmarks.markdown import table
from benchmarks.plan import log
from benchmarks.programs import ChaosConfig
from vaccel_common.commandline import ToolCommand, options


@click.command(cls=ToolCommand, context_settings={"show_default": True, "max_content_width": 120})
@options(ChaosConfig)
def main(**values: Any) -> None:
    """Runs a function on several agents under load while faults come by a seeded schedule, and prints
    what each cost, as Markdown.
    """
    config = ChaosConfig(**values)
    if config.list:
        print(table(("schedule", "what it repeats"), [(name, schedule.about) for name, schedule in SCHEDULES.items()]))
        return
    try:
        result = measure(config, log)
    except NotHere as error:
        raise click.UsageError(str(error)) from None
    print(markdown(result), flush=True)
    if result.without:
        print(f"\nLeft out, for want of what they need: {', '.join(result.without)}.")
    wrong = problems(result)
    for line in wrong:
        print(f"Problem: {line}", flush=True)
    print(f"\n{'FAILED' if wrong else 'passed'}; to repeat it: {config.command}", flush=True)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.chaos")
