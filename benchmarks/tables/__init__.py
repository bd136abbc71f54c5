"""The tables of docs/performance.md, one for each marker of the page."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.markdown import table
from benchmarks.results import Results
from benchmarks.tables import around, load, parts
from benchmarks.tables.goals import goals

#: Name of a marker -> the part of the results that it shows, and the function that formats the
#: table.
TABLES: dict[str, tuple[str, Callable[[Results], str]]] = {
    "goals": ("throughput", goals),
    "throughput": ("throughput", load.throughput),
    "loads": ("throughput", load.loads),
    "costs": ("throughput", load.costs),
    "openloop": ("openloop", load.openloop),
    "start": ("start", parts.start),
    "request": ("request", parts.request),
    "around": ("around", around.around),
    "hop": ("hop", parts.hop),
    "writes": ("writes", parts.writes),
    "sessions": ("sessions", parts.sessions),
    "models": ("models", parts.models),
    "agents": ("agents", parts.agents),
    "rules": ("rules", parts.rules),
    "tune": ("tune", load.tune),
}


def setup(results: Results) -> str:
    """The machine, the versions, the texts, and when each part was measured."""
    rows = []
    for name, part in results.parts.items():
        machine = part["machine"]
        rows.append((name, part["at"], "quick" if part["quick"] else "full", machine["commit"]))
    machine = next(iter(results.parts.values()))["machine"]
    about = ", ".join(f"{name} {value}" for name, value in machine.items() if name != "commit")
    texts = results.texts
    words = f"{texts['count']} texts ({texts['from']}), {texts['mean']:.0f} tokens on average, p99 {texts['p99']:.0f}"
    return f"{about}; {words}.\n\n" + table(("part", "measured (UTC)", "run", "commit"), rows)
