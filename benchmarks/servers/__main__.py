"""Compares HTTP servers for a function: CPU time for a request, requests a second, start and
memory, in turn.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

import click

from benchmarks import load
from benchmarks.markdown import pick, shown, table
from benchmarks.plan import log
from benchmarks.programs import ServersConfig
from benchmarks.servers.starts import SERVERS
from benchmarks.texts import generated, single
from loadkit.processes import ROOT, compile_all, ended, first_answer, free_port, spawn
from loadkit.texts import TEXT
from loadkit.usage import memory_mib
from vaccel_common.commandline import ToolCommand, options

_PATH = "/classify"
_BODY = json.dumps({"text": TEXT})
#: The environment with all servers: ``make .venv-servers/installed``.
_OWN = ROOT / ".venv-servers/bin/python"


@click.command(cls=ToolCommand, context_settings={"show_default": True, "max_content_width": 120})
@options(ServersConfig)
def main(**values: Any) -> None:
    """Compares HTTP servers under a stub Flask application: a table in Markdown.

    Servers that are not installed are left out.
    """
    config = ServersConfig(**values)
    python = str(config.python or (_OWN if _OWN.exists() else sys.executable))
    names = [name for name in config.only if _installed(python, name)]
    if not names:
        raise click.UsageError("none of these servers is installed")
    compile_all("benchmarks")
    records: list[dict[str, Any]] = []
    for number in range(config.rounds):
        log(f"round {number + 1} of {config.rounds}")
        # The order rotates, so that drift does not always affect the same server.
        at = number % len(names)
        records += [_measure(python, name, config) for name in names[at:] + names[:at]]
    head = ("server", "CPU for a request, µs", "requests/s", "spawn to first response, ms", "RSS, MiB")
    print(table(head, [_row(records, name) for name in names]))


def _installed(python: str, name: str) -> bool:
    probe = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({SERVERS[name].module!r}) is None)"
    if subprocess.run([python, "-c", probe]).returncode == 0:
        return True
    log(f"{name} is left out: make .venv-servers/installed, or {python} -m pip install {SERVERS[name].needs}")
    return False


def _measure(python: str, name: str, config: ServersConfig) -> dict[str, Any]:
    port = free_port()
    began = time.perf_counter()
    with ended(spawn([python, "-m", "benchmarks.servers.starts", name, str(port)], {})) as process:
        start = first_answer(port, _PATH, _BODY) - began
        messages = single(_PATH, [(text, 0) for text in generated(200)])
        load.run(load.LoadJob([port], messages, config.clients, config.warm))
        outcome = load.run(load.LoadJob([port], messages, config.clients, config.seconds), {"server": [process.pid]})
        assert all(answer.status == 200 for answer in outcome.answers), f"{name} answers wrongly"
        rate = outcome.summary(0, config.seconds)["rate"]
        rss = memory_mib(process.pid)["rss"]
        return {"name": name, "us": 1000 * outcome.cpu_ms()["server"], "rate": rate, "start_ms": 1000 * start, "rss": rss}


def _row(records: list[dict[str, Any]], name: str) -> list[str]:
    return [SERVERS[name].about, *(shown(pick(records, field, name=name), 0) for field in ("us", "rate", "start_ms", "rss"))]


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.servers")
