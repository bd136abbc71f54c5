"""Normal clients beside slow ones, deaf ones and too many: ``python -m benchmarks.slow``."""

from __future__ import annotations

import click

from benchmarks.plan import say
from benchmarks.slow import beside, descriptors
from loadkit.processes import raise_file_limit

_PARTS = ("dripping", "deaf", "descriptors")


@click.command(context_settings={"show_default": True, "max_content_width": 120})
@click.option("--only", metavar="PART,...", default=",".join(_PARTS), help="What is measured.")
@click.option("--slow", default=1000, help="Clients that send a byte a second; one that is answered or closed comes again.")
@click.option("--deaf", default=128, help="Clients that ask for much and read nothing.")
@click.option("--normal", default=8, help="Clients beside them: each sends its next text when it was answered.")
@click.option("--seconds", default=6.0, help="Of each measurement, alone and beside.")
@click.option("--rounds", default=5, help="Times that alone and beside take turns.")
@click.option("--read-timeout", default=10.0, help="READ_TIMEOUT_S beside the slow ones, who are told 408 then.")
@click.option("--over", default=10.0, help="Seconds over which the slow ones come: as long as that, and their 408s come evenly.")
@click.option("--deaf-over", default=5.0, help="Seconds over which the deaf ones come.")
@click.option("--settle", default=10.0, help="Seconds in which what was asked for fills the deaf ones' buffers, not measured.")
@click.option("--write-timeout", default=60.0, help="WRITE_TIMEOUT_S beside the deaf ones, who come again after it.")
@click.option("--files", default=256, help="Descriptors that the function may open, of the last part.")
@click.option("--connections", default=400, help="Connections that it is given.")
def main(
    only: str, slow: int, deaf: int, normal: int, seconds: float, rounds: int, read_timeout: float, over: float, deaf_over: float,
    settle: float, write_timeout: float, files: int, connections: int,
) -> None:  # fmt: skip
    """Tables in Markdown: clients of a byte a second of every route and content type; clients that never read; few descriptors."""
    raise_file_limit()
    wanted = only.split(",")
    if unknown := set(wanted) - set(_PARTS):
        raise click.UsageError(f"--only {','.join(sorted(unknown))}: the parts are {', '.join(_PARTS)}")
    if "dripping" in wanted:
        plan = beside.SlowPlan("dripping", slow, normal, seconds, rounds, over, settle=1)
        found = beside.measure(plan, say, READ_TIMEOUT_S=f"{read_timeout:g}")
        _tell(f"{slow:,} clients that send a byte a second", beside.markdown(found))
    if "deaf" in wanted:
        plan = beside.SlowPlan("deaf", deaf, normal, seconds, rounds, deaf_over, settle)
        found = beside.measure(plan, say, WRITE_TIMEOUT_S=f"{write_timeout:g}")
        _tell(f"{deaf:,} clients that read nothing", beside.markdown(found))
    if "descriptors" in wanted:
        _tell(
            f"{connections:,} connections, {files} descriptors",
            descriptors.markdown(descriptors.measure(files, connections, seconds, say)),
        )


def _tell(title: str, text: str) -> None:
    print(f"**{title}**\n\n{text}\n", flush=True)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.slow")
