"""The parts of a run; each measures one thing and returns records for `benchmarks.results`."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.parts import agents, around, hop, models, openloop, request, rules, sessions, start, throughput, tune, writes
from benchmarks.plan import Record, Run

MEASURES: dict[str, Callable[[Run], list[Record]]] = {
    "throughput": throughput.measure,
    "openloop": openloop.measure,
    "start": start.measure,
    "request": request.measure,
    "around": around.measure,
    "hop": hop.measure,
    "writes": writes.measure,
    "sessions": sessions.measure,
    "models": models.measure,
    "agents": agents.measure,
    "rules": rules.measure,
    "tune": tune.measure,
}
