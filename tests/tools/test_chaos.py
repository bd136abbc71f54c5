"""``python -m benchmarks.chaos``: half a minute of faults that a seed draws, and what the tool says."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks.programs import SCHEDULE_NAMES
from tests.support.paths import ROOT


def chaos(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.chaos", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=150, check=False)


@pytest.mark.timeout(180)
def test_half_a_minute_of_a_seed() -> None:
    """No answer is wrong, lost or doubled, and the report has the faults, the processes and the command that repeats it."""
    run = chaos("--seed", "3", "--duration", "20", "--clients", "8")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "| function | " in run.stdout
    assert "passed; to repeat it: python -m benchmarks.chaos --seed 3 --duration 20 --clients 8 --agents 2" in run.stdout


def test_it_lists_its_schedules() -> None:
    """``--list`` names each, with what it repeats, and starts nothing."""
    run = chaos("--list")
    assert run.returncode == 0
    assert all(f"| {name} | " in run.stdout for name in SCHEDULE_NAMES)


def test_a_schedule_that_cannot_be_had_is_refused() -> None:
    """One about names, where addresses have none, is an error that says what would do."""
    run = chaos("--schedule", "name-flaps", "--address-kind", "unix")
    assert run.returncode == 2
    assert "name-flaps needs name-fails, name-flaps" in run.stderr
    assert "names need the kind tcp or grpc" in " ".join(run.stderr.split())
