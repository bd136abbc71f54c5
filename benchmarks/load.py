"""A measured load: the generator in a process of its own, and what each process paid for it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.generator import REFUSED, Generator, TimedResponse
from loadkit.processes import ROOT, raise_file_limit
from loadkit.stats import percentile
from loadkit.usage import busy_seconds, cpu_seconds, machine_seconds


@dataclass(frozen=True)
class LoadJob:
    """What to send: ``requests`` as (HTTP message, kind), right answers hold ``expect``. ``times``: an open loop's, else closed."""

    ports: list[int]
    requests: list[tuple[str, int]]
    clients: int
    seconds: float
    times: list[float] = field(default_factory=list)
    expect: str = '"label"'


@dataclass(frozen=True)
class Outcome:
    """All answers; CPU seconds by process (the generator's is ``load``), and of what else ran on the machine meanwhile."""

    answers: list[TimedResponse]
    cpu: dict[str, float]
    others: float
    seconds: float
    open_loop: bool = False

    def summary(self, begin: float, end: float, kind: int | None = None) -> dict[str, Any]:
        """What was answered from ``begin`` to ``end`` seconds after the start: rate, milliseconds.

        Of an open loop: what should have been sent then, however late its answer came.
        """
        chosen = [one for one in self.answers if kind is None or one.kind == kind]
        inside = [one for one in chosen if begin <= (one.intended if self.open_loop else one.done) <= end]
        good = [1000 * one.latency for one in inside if one.status == 200]
        refused = [1000 * one.latency for one in inside if one.status in REFUSED]
        return {
            "rate": len(good) / (end - begin),
            "refused": len(refused),
            "failed": len(inside) - len(good) - len(refused),
            "p50_ms": percentile(good, 0.5),
            "p90_ms": percentile(good, 0.9),
            "p99_ms": percentile(good, 0.99),
            "max_ms": max(good, default=float("nan")),
            "refused_p99_ms": percentile(refused, 0.99),
            "late_ms": 1000 * percentile((one.sent - one.intended for one in inside), 0.99),
        }

    def cpu_ms(self) -> dict[str, float]:
        """Milliseconds of CPU for each request, by process."""
        count = max(1, len(self.answers))
        return {name: 1000 * seconds / count for name, seconds in self.cpu.items()}


def run(job: LoadJob, pids: Mapping[str, Sequence[int]] | None = None) -> Outcome:
    """Runs the job; ``pids``: whose CPU time is counted, by name (with their children)."""
    pids = pids or {}
    before, machine, own = {name: cpu_seconds(*ids) for name, ids in pids.items()}, machine_seconds(), busy_seconds()
    began = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.load"]
    done = subprocess.run(command, cwd=ROOT, input=json.dumps(asdict(job)), capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - began
    cpu = {name: cpu_seconds(*ids) - before[name] for name, ids in pids.items()}
    found = json.loads(done.stdout)
    # The generator is a child of this process: its starting up, which is no part of the load, is in ``busy_seconds``.
    others = machine_seconds() - machine - (busy_seconds() - own) - sum(cpu.values())
    return Outcome(
        [TimedResponse(*one) for one in found["answers"]],
        {**cpu, "load": found["cpu"]},
        max(0.0, others),
        seconds,
        bool(job.times),
    )


def main() -> None:
    """Reads a job from standard input; prints its answers and the generator's CPU seconds."""
    job = LoadJob(**json.load(sys.stdin))
    raise_file_limit()
    requests = [(message.encode(), kind) for message, kind in job.requests]
    with contextlib.suppress(OSError):  # As root: what measures is not to wait behind what is measured.
        os.nice(-10)
    generator = Generator(job.ports, requests, job.expect.encode(), job.clients)
    before = time.process_time()
    if job.times:
        generator.open(job.times)
    else:
        generator.closed(job.seconds)
    spent = time.process_time() - before
    answers = [(one.intended, one.sent, one.done, one.status, one.kind) for one in generator.answers]
    json.dump({"answers": answers, "cpu": spent}, sys.stdout)


if __name__ == "__main__":
    main()
