"""Requests at given rates, whatever the answers do; latency from when each should have been sent."""

from __future__ import annotations

from benchmarks import load, schedule, targets
from benchmarks.plan import Record, Run
from benchmarks.schedule import Segment
from benchmarks.texts import single
from loadkit.stats import percentile

#: Connections at most, and the clients by which capacity is measured.
_CONNECTIONS, _CLIENTS = 256, 32
#: A load that is too much, and the one before and after it: parts of the capacity.
_OVERLOAD, _BESIDE = 1.5, 0.5
_LONGEST_S = 30.0
#: Latency is as before when the median of this many answers in a row is below twice that of before.
_WINDOW = 10


def measure(run: Run) -> list[Record]:
    """Records by ``load`` (a part of the ``capacity`` that was measured just before, or a rate); one is an overload with its recovery."""
    found: list[Record] = []
    for repeat in range(run.plan.repeats):
        with targets.ours("unix").run() as running:
            messages = single(running.path, [(text, 0) for text in run.texts])
            capacity = _capacity(run, running, messages)
            rates = {f"{rate:g} requests/s": rate for rate in run.rates}
            rates = rates or {f"{part:.0%} of capacity": part * capacity for part in run.plan.fractions}
            made = [{"load": name, **_rate(run, running, messages, rate)} for name, rate in rates.items()]
            made.append({"load": f"overload, {_OVERLOAD:.0%}", **_overload(run, running, messages, capacity)})
        found += [{"repeat": repeat, "capacity": capacity, "arrivals": run.arrivals, **record} for record in made]
    return found


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
    run.log(f"open loop, {_OVERLOAD * capacity:.0f} requests/s: too much")
    beside, seconds = (min(_LONGEST_S, max(2.0, run.plan.open_seconds / part)) for part in (4, 2))
    low, high = Segment(_BESIDE * capacity, beside), Segment(_OVERLOAD * capacity, seconds)
    outcome = _send(run, running, messages, [low, high, low])
    before = outcome.summary(0, beside)["p50_ms"]
    after = sorted((one.intended, 1000 * one.latency) for one in outcome.answers if one.intended > beside + seconds)
    back = recovered(after, 2 * before)
    recovery = None if back is None else back - beside - seconds
    during = outcome.summary(beside, beside + seconds)
    return {"kind": "overload", "offered": high.rate, **during, "before_p50_ms": before, "recovery_s": recovery}


def recovered(answers: list[tuple[float, float]], most_ms: float) -> float | None:
    """When latency was back: the first of (second, milliseconds) from which a window's median is at most ``most_ms``, or None."""
    for at in range(len(answers) - _WINDOW + 1):
        if percentile((ms for _, ms in answers[at : at + _WINDOW]), 0.5) <= most_ms:
            return answers[at][0]
    return None


def _send(run: Run, running: targets.Running, messages: list[tuple[str, int]], segments: list[Segment]) -> load.Outcome:
    times = schedule.times(segments, run.arrivals)
    return load.run(load.LoadJob(list(running.ports), messages, _CONNECTIONS, 0, times), running.pids)
