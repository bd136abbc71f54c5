"""The machine's cores for one agent, or divided among several agents with a function each."""

from __future__ import annotations

import contextlib
import os

from benchmarks import load, targets
from benchmarks.plan import Record, Run
from benchmarks.texts import single
from loadkit.usage import memory_mib

_CLIENTS = 32


def measure(run: Run) -> list[Record]:
    """Records by the number of ``agents``: their total rate; ``cores``: those of each."""
    return [{"repeat": repeat, **_agents(run, count)} for repeat in range(run.plan.repeats) for count in run.plan.agents]


def shares(count: int, cores: list[int]) -> list[list[int]]:
    """The cores of each of ``count`` agents: the same number for each, or one shared core where
    there are too few.
    """
    if count >= len(cores):
        return [[cores[number % len(cores)]] for number in range(count)]
    each = len(cores) // count
    return [cores[number * each : (number + 1) * each] for number in range(count)]


def _agents(run: Run, count: int) -> Record:
    run.log(f"{count} agents")
    with contextlib.ExitStack() as stack:
        pairs = [stack.enter_context(targets.pair(cpus=cpus)) for cpus in shares(count, sorted(os.sched_getaffinity(0)))]
        ports = [port for running in pairs for port in running.ports]
        pids = {f"{name} {number}": ids for number, running in enumerate(pairs) for name, ids in running.pids.items()}
        messages = single(pairs[0].path, [(text, 0) for text in run.texts])
        end = run.plan.warm + run.plan.seconds
        outcome = load.run(load.LoadJob(ports, messages, _CLIENTS, end), pids)
        memory = memory_mib(*(pid for ids in pids.values() for pid in ids))
    cores = len(os.sched_getaffinity(0)) / count
    return {"agents": count, "cores": cores, "clients": _CLIENTS, **outcome.summary(run.plan.warm, end), "memory": memory}
