"""The load test's chart, played: its Jobs' arguments run Locust against a function and an agent, alone and with a worker."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from loadkit.processes import free_port
from scripts import charts
from tests.support.objects import read
from tests.support.optional import needs_path
from tests.support.paths import ROOT
from tests.support.servers import ServerProcess

pytest.importorskip("helm_python", reason="needs the dependency group 'charts': make charts")
LOCUST = ROOT / ".venv-loadtest/bin/locust"
pytestmark = [pytest.mark.helm, needs_path(LOCUST, "make .venv-loadtest/installed")]
#: The first run of somebody who changes only what has to be: fewer users, for a shorter time.
SHORT: dict[str, Any] = {"users": 4, "spawnRate": 4, "runTime": "2s", "userClasses": ["SingleTexts", "BatchUsers"]}


def jobs(values: dict[str, Any]) -> dict[str, list[str]]:
    """The arguments of each Job's container, by the name of the Job."""
    texts = charts.render("vaccel-loadtest", values, name="vaccel-loadtest").values()
    objects = [each for text in texts for each in read(text) if each["kind"] == "Job"]
    return {each["metadata"]["name"]: each["spec"]["template"]["spec"]["containers"][0]["args"] for each in objects}


def locust(args: list[str], folder: Path, log: Path) -> subprocess.Popen[bytes]:
    """Starts what the image's entry point starts, with the volume of the reports at ``folder``."""
    command = [str(LOCUST), "-f", "loadtests/locustfile.py", *(part.replace("/reports/", f"{folder}/") for part in args)]
    with log.open("wb") as out:
        return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out)


@pytest.mark.parametrize("shape", ["steady", "bursts"])
def test_a_first_run_passes(agent: ServerProcess, function: ServerProcess, tmp_path: Path, shape: str) -> None:
    """A single pod with each shape: exit code 0, so the Job completes, and the reports are in their volume."""
    values = SHORT | {"url": function.addresses["http"], "rpcAddress": agent.addresses["tcp"], "shape": shape}
    ((name, args),) = jobs(values).items()
    single = locust(args, tmp_path, tmp_path / "log")
    assert single.wait(60) == 0, (tmp_path / "log").read_text()
    assert "ok: fail ratio 0.0000" in (tmp_path / "log").read_text()
    assert (tmp_path / f"{name}.html").exists()
    assert (tmp_path / f"{name}_stats.csv").exists()


def test_a_first_run_with_workers_passes(function: ServerProcess, tmp_path: Path) -> None:
    """The master's Job waits for its worker's, and both complete; the worker finds the master by the Service's name."""
    values = SHORT | {"url": function.addresses["http"], "workers": 1}
    args = jobs(values)
    master_name, worker_name = sorted(args)
    port = str(free_port())
    at_master = [part.replace(master_name, "127.0.0.1") for part in args[worker_name]]
    assert at_master != args[worker_name]
    worker = locust([*at_master, "--master-port", port], tmp_path, tmp_path / "worker.log")
    master = locust([*args[master_name], "--master-bind-port", port], tmp_path, tmp_path / "master.log")
    assert master.wait(60) == 0, (tmp_path / "master.log").read_text()
    assert worker.wait(60) == 0, (tmp_path / "worker.log").read_text()
