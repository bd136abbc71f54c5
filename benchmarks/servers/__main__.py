"""What an HTTP server costs a function: CPU for a request, requests a second, a start, memory; the servers take turns."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click

from benchmarks import load
from benchmarks.markdown import pick, shown, table
from benchmarks.plan import say
from benchmarks.servers.starts import SERVERS
from benchmarks.texts import made, single
from loadkit.processes import ROOT, compile_all, ended, first_answer, free_port, spawn
from loadkit.texts import TEXT
from loadkit.usage import memory_mib

_PATH = "/classify"
_BODY = json.dumps({"text": TEXT})
#: The environment that has them all: ``make .venv-servers/installed``.
_OWN = ROOT / ".venv-servers/bin/python"


@click.command(context_settings={"show_default": True, "max_content_width": 120})
@click.option("--only", metavar="NAME,...", default=",".join(SERVERS), help="What is measured.")
@click.option("--clients", default=32, help="Each sends its next request when it was answered.")
@click.option("--seconds", default=4.0, help="Of each measurement.")
@click.option("--warm", default=1.0, help="Seconds before it that do not count.")
@click.option("--rounds", default=5, help="Starts and measurements of each server, in turn.")
@click.option(
    "--python", type=click.Path(exists=True, path_type=Path), help="The interpreter that runs them.",
    show_default=".venv-servers's if it is there, else this one",
)  # fmt: skip
def main(only: str, clients: int, seconds: float, warm: float, rounds: int, python: Path | None) -> None:
    """A stub Flask application behind each server: a table in Markdown. What is not installed is left out."""
    runs = str(python or (_OWN if _OWN.exists() else sys.executable))
    names = [name for name in only.split(",") if _installed(runs, name)]
    if not names:
        raise click.UsageError("none of these servers is there")
    compile_all("benchmarks")
    found: list[dict[str, Any]] = []
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        # Another order each time: what drifts is not always on the same one.
        at = number % len(names)
        found += [_measure(runs, name, clients, seconds, warm) for name in names[at:] + names[:at]]
    head = ("server", "CPU for a request, µs", "requests/s", "spawn to first answer, ms", "RSS, MiB")
    print(table(head, [_row(found, name) for name in names]))


def _installed(python: str, name: str) -> bool:
    if name not in SERVERS:
        raise click.UsageError(f"--only {name}: the servers are {', '.join(SERVERS)}")
    known = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({SERVERS[name].module!r}) is None)"
    if subprocess.run([python, "-c", known]).returncode == 0:
        return True
    say(f"{name} is left out: make .venv-servers/installed, or {python} -m pip install {SERVERS[name].needs}")
    return False


def _measure(python: str, name: str, clients: int, seconds: float, warm: float) -> dict[str, Any]:
    port = free_port()
    began = time.perf_counter()
    with ended(spawn([python, "-m", "benchmarks.servers.starts", name, str(port)], {})) as process:
        start = first_answer(port, _PATH, _BODY) - began
        messages = single(_PATH, [(text, 0) for text in made(200)])
        load.run(load.LoadJob([port], messages, clients, warm))
        outcome = load.run(load.LoadJob([port], messages, clients, seconds), {"server": [process.pid]})
        assert all(one.status == 200 for one in outcome.answers), f"{name} answers wrongly"
        rate = outcome.summary(0, seconds)["rate"]
        rss = memory_mib(process.pid)["rss"]
        return {"name": name, "us": 1000 * outcome.cpu_ms()["server"], "rate": rate, "start_ms": 1000 * start, "rss": rss}


def _row(found: list[dict[str, Any]], name: str) -> list[str]:
    return [SERVERS[name].about, *(shown(pick(found, field, name=name), 0) for field in ("us", "rate", "start_ms", "rss"))]


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.servers")
