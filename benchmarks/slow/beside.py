"""Normal clients alone and beside slow ones, in turn: their median, refusals, threads, memory."""

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

#: Seconds in which those who have left are forgotten.
_SETTLE_S = 2.0
_WARM_S = 1.0


@dataclass(frozen=True)
class SlowPlan:
    """``rounds`` of alone and beside, so many seconds each; ``settle``: seconds after the last slow client has come."""

    kind: str
    slow: int
    normal: int
    seconds: float
    rounds: int
    over: float
    settle: float


@dataclass(frozen=True)
class Measurement:
    """One measurement. ``cores``: what function and agent took of the machine."""

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
    """Slices in their order: one more alone than beside."""

    plan: SlowPlan
    alone: list[Measurement]
    beside: list[Measurement]
    seen: SlowCounts

    def ratios(self) -> list[float]:
        """Each median beside the slow ones over the mean of those before and after: what drifts is in both."""
        around = zip(self.alone, self.alone[1:], strict=False)
        return [2 * one.median / (before.median + after.median) for one, (before, after) in zip(self.beside, around, strict=True)]


def measure(plan: SlowPlan, log: Callable[[str], None], **env: str) -> SlowResult:
    """A function with these variables and an agent, the shipped model."""
    found = SlowResult(plan, [], [], SlowCounts())
    with targets.pair("unix", (), (), **env) as running:
        _slice(running, plan, _WARM_S)
        for number in range(plan.rounds):
            log(f"{plan.kind}, round {number + 1} of {plan.rounds}")
            found.alone.append(_slice(running, plan, plan.seconds))
            with beside(SlowJob(running.ports[0], plan.kind, plan.slow, plan.over), found.seen):
                time.sleep(plan.over + plan.settle)
                found.beside.append(_slice(running, plan, plan.seconds))
            time.sleep(_SETTLE_S)
        found.alone.append(_slice(running, plan, plan.seconds))
    return found


def markdown(found: SlowResult) -> str:
    """A table, and what the slow clients saw."""
    plan = found.plan
    after = found.alone[-1:]
    rows = [("alone", found.alone[:-1]), (f"beside {plan.slow:,}", found.beside), ("after", after)]
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
    made = [(name, *_cells(slices)) for name, slices in rows]
    made.append(("ratio", shown(found.ratios(), 2), *[""] * (len(head) - 2)))
    return f"{table(head, made)}\n\n{_memory(found)} {_told(found.seen)}"


def _slice(running: targets.Running, plan: SlowPlan, seconds: float) -> Measurement:
    pid = running.pids["function"][0]
    job = load.LoadJob(list(running.ports), single(running.path, [(text, 0) for text in generated(200)]), plan.normal, seconds)
    outcome = load.run(job, running.pids)
    summary = outcome.summary(0, float("inf"))
    answered = sum(one.status == 200 for one in outcome.answers)
    cores = {name: outcome.cpu[name] / outcome.seconds for name in running.pids}
    return Measurement(
        summary["p50_ms"], summary["p99_ms"], answered, summary["refused"], summary["failed"],
        usage.threads(pid), usage.resident_mib(pid), usage.descriptors(pid), cores,
    )  # fmt: skip


def _cells(slices: Sequence[Measurement]) -> list[str]:
    cores = [statistics.median(one.cores[name] for one in slices) for name in slices[0].cores]
    return [
        shown([one.median for one in slices]),
        shown([one.p99 for one in slices]),
        f"{sum(one.answered for one in slices):,}",
        f"{sum(one.refused for one in slices)}",
        f"{sum(one.failed for one in slices)}",
        f"{max(one.threads for one in slices)}",
        shown([one.memory for one in slices]),
        f"{max(one.files for one in slices):,}",
        ", ".join(f"{name} {cores[at]:.2f}" for at, name in enumerate(slices[0].cores)),
    ]


def _memory(found: SlowResult) -> str:
    sizes = [size for pair in zip(found.alone, found.beside, strict=False) for size in (pair[0].memory, pair[1].memory)]
    return f"Resident MiB, alone and beside in turn: {', '.join(f'{size:.1f}' for size in [*sizes, found.alone[-1].memory])}."


def _told(seen: SlowCounts) -> str:
    ends = ", ".join(f"{name}: {count:,}" for name, count in sorted(seen.answers.items()))
    return (
        f"The slow clients connected {seen.connections:,} times, sent {seen.sent / seen.seconds:,.0f} bytes a second, "
        f"were told {ends or 'nothing'}, and took {seen.cpu / seen.seconds:.2f} cores themselves."
    )
