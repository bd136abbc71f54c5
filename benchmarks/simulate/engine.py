"""The simulation: events in order of time, and workers that run what the rule chooses."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from agent.engines.layout import Shape
from benchmarks.simulate.cost import Machine
from benchmarks.simulate.rules import Rule, Waiting
from benchmarks.simulate.workload import TURN, Workload
from loadkit.stats import percentile

_KEY = "model"


@dataclass(frozen=True, slots=True)
class SimulatedRequest:
    """A request's times in seconds; ``ahead``: requests that waited when it arrived; ``batches``:
    those begun until its own.
    """

    length: int
    arrived: float
    started: float
    ended: float
    ahead: int
    batches: int


@dataclass(frozen=True)
class RuleSummary:
    """The figures of a rule under a workload; ``short_p99_ms``: of the requests that are not longer
    than the median.
    """

    p50_ms: float
    p99_ms: float
    short_p99_ms: float
    worst_wait_ms: float
    rate: float
    padding: float
    rows: float

    def as_dict(self) -> dict[str, Any]:
        """The figures by name, for JSON."""
        return asdict(self)


class Simulation:
    """One simulation, which `run` runs once."""

    def __init__(self, workload: Workload, rule: Rule, machine: Machine, workers: int) -> None:
        self._rule, self._machine, self._workers = rule, machine, workers
        self._left = iter(workload.lengths)
        self._closed = bool(workload.clients)
        self._order = itertools.count()
        self._events: list[tuple[float, int, int | None, list[SimulatedRequest]]] = []
        self._waiting: list[tuple[Waiting, int, int]] = []
        self._free = list(range(workers))
        self._begun = 0
        self.served: list[SimulatedRequest] = []
        self.batches: list[tuple[int, int]] = []
        for at in workload.times or (number * TURN for number in range(workload.clients)):
            self._arrive(at)

    def run(self) -> None:
        """Simulates until every request is answered."""
        while self._events:
            now, _, worker, batch = heapq.heappop(self._events)
            if worker is None:
                self._waiting.append((Waiting(now, Shape(_KEY, batch[0].length)), len(self._waiting), self._begun))
            else:
                heapq.heappush(self._free, worker)
                self.served += batch
                for number in range(len(batch) if self._closed else 0):
                    self._arrive(now + (number + 1) * TURN)
            while self._free and self._waiting:
                self._start(now)

    def _arrive(self, at: float) -> None:
        length = next(self._left, None)
        if length is not None:
            heapq.heappush(self._events, (at, next(self._order), None, [SimulatedRequest(length, at, at, at, 0, 0)]))

    def _start(self, now: float) -> None:
        chosen = sorted(self._rule([request for request, _, _ in self._waiting], now, len(self._free)))
        worker = heapq.heappop(self._free)
        batch_members = [self._waiting[i] for i in chosen]
        for i in reversed(chosen):
            del self._waiting[i]
        self._begun += 1
        longest = max(request.shape.length for request, _, _ in batch_members)
        alone = worker == 0 and len(self._free) == self._workers - 1 and not self._waiting
        end = now + self._machine.seconds(len(batch_members), longest, alone=alone)
        batch = [
            SimulatedRequest(request.shape.length, request.arrived, now, end, ahead, self._begun - begun)
            for request, ahead, begun in batch_members
        ]
        self.batches.append((len(batch_members), len(batch_members) * longest))
        heapq.heappush(self._events, (end, next(self._order), worker, batch))


def simulate(workload: Workload, rule: Rule, machine: Machine, workers: int) -> tuple[RuleSummary, list[SimulatedRequest]]:
    """Simulates a workload; the figures, and every request."""
    simulation = Simulation(workload, rule, machine, workers)
    simulation.run()
    return _summary(simulation), simulation.served


def _summary(simulation: Simulation) -> RuleSummary:
    served = simulation.served
    middle = percentile((request.length for request in served), 0.5)
    padded, tokens = sum(size for _, size in simulation.batches), sum(request.length for request in served)
    return RuleSummary(
        p50_ms=_ms(served, 0.5),
        p99_ms=_ms(served, 0.99),
        short_p99_ms=_ms([request for request in served if request.length <= middle], 0.99),
        worst_wait_ms=1000 * max(request.started - request.arrived for request in served),
        rate=len(served) / (max(request.ended for request in served) - min(request.arrived for request in served)),
        padding=1 - tokens / padded,
        rows=len(served) / len(simulation.batches),
    )


def _ms(served: Sequence[SimulatedRequest], part: float) -> float:
    return 1000 * percentile((request.ended - request.arrived for request in served), part)
