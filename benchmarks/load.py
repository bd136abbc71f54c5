"""A measured load: the generator in a process of its own, and the CPU time of each process."""

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
    """What to send: ``requests`` as (HTTP message, kind); right responses contain ``expect``.

    With ``times`` it is an open loop that sends at these seconds, otherwise a closed one of
    ``clients``.
    """

    ports: list[int]
    requests: list[tuple[str, int]]
    clients: int
    seconds: float
    times: list[float] = field(default_factory=list)
    expect: str = '"label"'


@dataclass(frozen=True)
class Outcome:
    """All responses; CPU seconds by process (``load``: the generator), and those of everything else
    on the machine (``others``).
    """

    answers: list[TimedResponse]
    cpu: dict[str, float]
    others: float
    seconds: float
    open_loop: bool = False

    def summary(self, begin: float, end: float, kind: int | None = None) -> dict[str, Any]:
        """Rate and latencies of what was answered between ``begin`` and ``end`` seconds after the
        start.

        Of an open loop: of what should have been sent then, however late the response.
        """
        chosen = [answer for answer in self.answers if kind is None or answer.kind == kind]
        counted = [answer for answer in chosen if begin <= (answer.intended if self.open_loop else answer.done) <= end]
        good = [1000 * answer.latency for answer in counted if answer.status == 200]
        refused = [1000 * answer.latency for answer in counted if answer.status in REFUSED]
        return {
            "rate": len(good) / (end - begin),
            "refused": len(refused),
            "failed": len(counted) - len(good) - len(refused),
            "p50_ms": percentile(good, 0.5),
            "p90_ms": percentile(good, 0.9),
            "p99_ms": percentile(good, 0.99),
            "max_ms": max(good, default=float("nan")),
            "refused_p99_ms": percentile(refused, 0.99),
            "late_ms": 1000 * percentile((answer.sent - answer.intended for answer in counted), 0.99),
        }

    def cpu_ms(self) -> dict[str, float]:
        """Milliseconds of CPU time for each request, by process."""
        count = max(1, len(self.answers))
        return {name: 1000 * seconds / count for name, seconds in self.cpu.items()}


def run(job: LoadJob, pids: Mapping[str, Sequence[int]] | None = None) -> Outcome:
    """Runs the job; ``pids``: the processes, by name, whose CPU time is counted with that of their
    descendants.
    """
    pids = pids or {}
    before, machine, own = {name: cpu_seconds(*ids) for name, ids in pids.items()}, machine_seconds(), busy_seconds()
    began = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.load"]
    process = subprocess.run(command, cwd=ROOT, input=json.dumps(asdict(job)), capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - began
    cpu = {name: cpu_seconds(*ids) - before[name] for name, ids in pids.items()}
    output = json.loads(process.stdout)
    # The generator is a child of this process: ``busy_seconds`` includes its start, which is not
    # part of the load.
    others = machine_seconds() - machine - (busy_seconds() - own) - sum(cpu.values())
    return Outcome(
        [TimedResponse(*answer) for answer in output["answers"]],
        {**cpu, "load": output["cpu"]},
        max(0.0, others),
        seconds,
        bool(job.times),
    )


def main() -> None:
    """Reads a job from standard input; prints its responses and the generator's CPU seconds."""
    job = LoadJob(**json.load(sys.stdin))
    raise_file_limit()
    requests = [(message.encode(), kind) for message, kind in job.requests]
    with contextlib.suppress(OSError):  # As root: the generator should not wait for what it measures.
        os.nice(-10)
    generator = Generator(job.ports, requests, job.expect.encode(), job.clients)
    before = time.process_time()
    if job.times:
        generator.open(job.times)
    else:
        generator.closed(job.seconds)
    spent = time.process_time() - before
    answers = [(answer.intended, answer.sent, answer.done, answer.status, answer.kind) for answer in generator.answers]
    json.dump({"answers": answers, "cpu": spent}, sys.stdout)


if __name__ == "__main__":
    main()
