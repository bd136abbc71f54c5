"""Normal clients alone and beside slow ones, in turn: their latency and refusals, the function's
threads and memory.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks import load, targets
from benchmarks.markdown import shown, table
from benchmarks.slow.clients import SlowCounts, SlowJob, beside
from benchmarks.texts import generated, single
from loadkit import usage

#: Seconds in which the function cleans up after clients that have left.
_SETTLE_S = 2.0
_WARM_S = 1.0


@dataclass(frozen=True)
class SlowPlan:
    """One comparison; times in seconds.

    ``rounds`` of measurements alone and beside ``slow`` clients, which connect ``over`` some time;
    ``settle``: the time after that and before the measurement.
    """

    kind: str
    slow: int
    normal: int
    seconds: float
    rounds: int
    over: float
    settle: float


@dataclass(frozen=True)
class Measurement:
    """One measurement of the normal clients. ``cores``: how many cores function and agent used."""

    median: float
    p99: float
    answered: int
    refused: int
    failed: int
    threads: int
    memory: float
    files: int
    cores: dict[str, float]


@dataclass(frozen=True)
class SlowResult:
    """The measurements in their order; there is one more alone than beside."""

    plan: SlowPlan
    alone: list[Measurement]
    beside: list[Measurement]
    seen: SlowCounts

    def ratios(self) -> list[float]:
        """Each median beside the slow clients, divided by the mean of the medians before and after
        it, so that drift cancels out.
        """
        around = zip(self.alone, self.alone[1:], strict=False)
        return [
            2 * each.median / (before.median + after.median) for each, (before, after) in zip(self.beside, around, strict=True)
        ]


def measure(plan: SlowPlan, log: Callable[[str], None], **env: str) -> SlowResult:
    """Measures a function with these variables and an agent with the shipped model."""
    result = SlowResult(plan, [], [], SlowCounts())
    with targets.pair("unix", (), (), **env) as running:
        _measured(running, plan, _WARM_S)
        for number in range(plan.rounds):
            log(f"{plan.kind}, round {number + 1} of {plan.rounds}")
            result.alone.append(_measured(running, plan, plan.seconds))
            with beside(SlowJob(running.ports[0], plan.kind, plan.slow, plan.over), result.seen):
                time.sleep(plan.over + plan.settle)
                result.beside.append(_measured(running, plan, plan.seconds))
            time.sleep(_SETTLE_S)
        result.alone.append(_measured(running, plan, plan.seconds))
    return result


def markdown(result: SlowResult) -> str:
    """A table, and a sentence about what the slow clients saw."""
    plan = result.plan
    after = result.alone[-1:]
    rows = [("alone", result.alone[:-1]), (f"beside {plan.slow:,}", result.beside), ("after", after)]
    head = (
        "normal clients",
        "median, ms",
        "p99, ms",
        "requests",
        "refused",
        "failed",
        "threads",
        "RSS, MiB",
        "descriptors",
        "cores",
    )
    cells = [(name, *_cells(measurements)) for name, measurements in rows]
    cells.append(("ratio", shown(result.ratios(), 2), *[""] * (len(head) - 2)))
    return f"{table(head, cells)}\n\n{_memory(result)} {_seen(result.seen)}"


def _measured(running: targets.Running, plan: SlowPlan, seconds: float) -> Measurement:
    pid = running.pids["function"][0]
    job = load.LoadJob(list(running.ports), single(running.path, [(text, 0) for text in generated(200)]), plan.normal, seconds)
    outcome = load.run(job, running.pids)
    summary = outcome.summary(0, float("inf"))
    answered = sum(answer.status == 200 for answer in outcome.answers)
    cores = {name: outcome.cpu[name] / outcome.seconds for name in running.pids}
    return Measurement(
        summary["p50_ms"], summary["p99_ms"], answered, summary["refused"], summary["failed"],
        usage.threads(pid), usage.resident_mib(pid), usage.descriptors(pid), cores,
    )  # fmt: skip


def _cells(measurements: Sequence[Measurement]) -> list[str]:
    cores = [statistics.median(each.cores[name] for each in measurements) for name in measurements[0].cores]
    return [
        shown([each.median for each in measurements]),
        shown([each.p99 for each in measurements]),
        f"{sum(each.answered for each in measurements):,}",
        f"{sum(each.refused for each in measurements)}",
        f"{sum(each.failed for each in measurements)}",
        f"{max(each.threads for each in measurements)}",
        shown([each.memory for each in measurements]),
        f"{max(each.files for each in measurements):,}",
        ", ".join(f"{name} {cores[at]:.2f}" for at, name in enumerate(measurements[0].cores)),
    ]


def _memory(result: SlowResult) -> str:
    sizes = [size for pair in zip(result.alone, result.beside, strict=False) for size in (pair[0].memory, pair[1].memory)]
    return f"Resident MiB, alone and beside in turn: {', '.join(f'{size:.1f}' for size in [*sizes, result.alone[-1].memory])}."


def _seen(seen: SlowCounts) -> str:
    ends = ", ".join(f"{name}: {count:,}" for name, count in sorted(seen.answers.items()))
    return (
        f"The slow clients connected {seen.connections:,} times, sent {seen.sent / seen.seconds:,.0f} bytes a second and used "
        f"{seen.cpu / seen.seconds:.2f} cores; their connections ended by {ends or 'their own choice'}."
    )
