"""The comparison of HTTP servers: each that is here is measured, the others are named."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.servers.starts import SERVERS
from tests.support.paths import ROOT


def test_a_short_comparison() -> None:
    """A row for each server, and for one that is not here how to have it."""
    command = [sys.executable, "-m", "benchmarks.servers", "--python", sys.executable]
    command += ["--rounds", "1", "--seconds", "0.3", "--warm", "0.1", "--clients", "16"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    rows = done.stdout.splitlines()[2:]
    missing = [name for name in SERVERS if f"{name} is left out: make .venv-servers/installed" in done.stderr]
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == [
        served.about for name, served in SERVERS.items() if name not in missing
    ]
    assert not {"ours", "h11", "cheroot"} & set(missing)
