"""Normal clients beside slow ones, deaf ones and too many: ``python -m benchmarks.slow``."""

from __future__ import annotations

from typing import Any

import click

from benchmarks.plan import log
from benchmarks.programs import SlowConfig
from benchmarks.slow import beside, descriptors
from benchmarks.slow.beside import SlowPlan
from loadkit.processes import raise_file_limit
from vaccel_common.commandline import ToolCommand, options


@click.command(cls=ToolCommand, context_settings={"show_default": True, "max_content_width": 120})
@options(SlowConfig)
def main(**values: Any) -> None:
    """Measures normal clients beside others, and prints tables in Markdown.

    The others send a byte a second, to every route and with every content type; or never read a
    response; or hold more connections than the function has descriptors.
    """
    config = SlowConfig(**values)
    raise_file_limit()
    if "dripping" in config.only:
        plan = SlowPlan("dripping", config.slow, config.normal, config.seconds, config.rounds, config.over, settle=1)
        result = beside.measure(plan, log, READ_TIMEOUT_S=f"{config.read_timeout:g}")
        _print(f"{config.slow:,} clients that send a byte a second", beside.markdown(result))
    if "deaf" in config.only:
        plan = SlowPlan("deaf", config.deaf, config.normal, config.seconds, config.rounds, config.deaf_over, config.settle)
        result = beside.measure(plan, log, WRITE_TIMEOUT_S=f"{config.write_timeout:g}")
        _print(f"{config.deaf:,} clients that read nothing", beside.markdown(result))
    if "descriptors" in config.only:
        results = descriptors.measure(config.files, config.connections, config.seconds, log)
        _print(f"{config.connections:,} connections, {config.files} descriptors", descriptors.markdown(results))


def _print(title: str, text: str) -> None:
    print(f"**{title}**\n\n{text}\n", flush=True)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.slow")
