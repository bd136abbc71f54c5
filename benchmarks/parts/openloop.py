"""Requests at given rates, however late responses are; latency counts from when each should have
been sent.
"""

from __future__ import annotations

from benchmarks import load, schedule, targets
from benchmarks.plan import Record, Run
from benchmarks.schedule import Segment
from benchmarks.texts import single
from loadkit.stats import percentile

#: The most connections, and the clients of the closed loop that measures the capacity.
_CONNECTIONS, _CLIENTS = 256, 32
#: The overload, and the load before and after it, as shares of the capacity.
_OVERLOAD, _BESIDE = 1.5, 0.5
_LONGEST_S = 30.0
#: Latency has recovered when the median of this many consecutive responses is below twice the
#: median before the overload.
_WINDOW = 10


def measure(run: Run) -> list[Record]:
    """Records by ``load``: a share of the ``capacity`` measured just before, or a rate; one is an
    overload with its recovery.
    """
    records: list[Record] = []
    for repeat in range(run.plan.repeats):
        with targets.ours("unix").run() as running:
            messages = single(running.path, [(text, 0) for text in run.texts])
            capacity = _capacity(run, running, messages)
            rates = {f"{rate:g} requests/s": rate for rate in run.rates}
            rates = rates or {f"{part:.0%} of capacity": part * capacity for part in run.plan.fractions}
            measured = [{"load": name, **_rate(run, running, messages, rate)} for name, rate in rates.items()]
            measured.append({"load": f"overload, {_OVERLOAD:.0%}", **_overload(run, running, messages, capacity)})
        records += [{"repeat": repeat, "capacity": capacity, "arrivals": run.arrivals, **record} for record in measured]
    return records


def _capacity(run: Run, running: targets.Running, messages: list[tuple[str, int]]) -> float:
    end = run.plan.warm + run.plan.seconds
    rate: float = load.run(load.LoadJob(list(running.ports), messages, _CLIENTS, end)).summary(run.plan.warm, end)["rate"]
    run.log(f"capacity at {_CLIENTS} clients: {rate:.0f} requests/s")
    return rate


def _rate(run: Run, running: targets.Running, messages: list[tuple[str, int]], rate: float) -> Record:
    run.log(f"open loop, {rate:.0f} requests/s")
    seconds = run.plan.open_seconds
    outcome = _send(run, running, messages, [Segment(rate, seconds)])
    return {"kind": "steady", "offered": rate, **outcome.summary(min(1.0, seconds / 4), seconds), "cpu_ms": outcome.cpu_ms()}


def _overload(run: Run, running: targets.Running, messages: list[tuple[str, int]], capacity: float) -> Record:
    run.log(f"open loop, {_OVERLOAD * capacity:.0f} requests/s: overload")
    beside, seconds = (min(_LONGEST_S, max(2.0, run.plan.open_seconds / part)) for part in (4, 2))
    low, high = Segment(_BESIDE * capacity, beside), Segment(_OVERLOAD * capacity, seconds)
    outcome = _send(run, running, messages, [low, high, low])
    before = outcome.summary(0, beside)["p50_ms"]
    after = sorted((answer.intended, 1000 * answer.latency) for answer in outcome.answers if answer.intended > beside + seconds)
    back = recovered(after, 2 * before)
    recovery = None if back is None else back - beside - seconds
    during = outcome.summary(beside, beside + seconds)
    return {"kind": "overload", "offered": high.rate, **during, "before_p50_ms": before, "recovery_s": recovery}


def recovered(answers: list[tuple[float, float]], limit_ms: float) -> float | None:
    """When latency had recovered: the first second from which a window's median is at most
    ``limit_ms``; None: never.

    ``answers``: (second, milliseconds).
    """
    for at in range(len(answers) - _WINDOW + 1):
        if percentile((ms for _, ms in answers[at : at + _WINDOW]), 0.5) <= limit_ms:
            return answers[at][0]
    return None


def _send(run: Run, running: targets.Running, messages: list[tuple[str, int]], segments: list[Segment]) -> load.Outcome:
    times = schedule.times(segments, run.arrivals)
    return load.run(load.LoadJob(list(running.ports), messages, _CONNECTIONS, 0, times), running.pids)
