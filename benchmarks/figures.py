"""The plots of a run."""

from __future__ import annotations

from benchmarks import plots
from benchmarks.comparison import best, peers
from benchmarks.markdown import names, pick
from benchmarks.plan import Record
from benchmarks.results import Results
from loadkit.stats import Spread


def all_figures(results: Results) -> dict[str, str]:
    """The plots of the measured parts, as SVG by file name."""
    figures = {
        "throughput": _throughput(results),
        "latency": _latency(results),
        "openloop": _openloop(results),
        "start": _start(results),
        "hop": _hop(results),
    }
    return {f"{name}.svg": svg for name, svg in figures.items() if svg}


def _throughput(results: Results) -> str:
    records = results.records("throughput")
    series = {name: _points(results, name, "rate") for name in _compared(records)}
    guides = {
        name: Spread.of(pick(records, "rate", target=name)).median
        for name in names(records, "target")
        if name.startswith("torch")
    }
    return plots.lines("Requests a second", "clients (closed loop)", "requests/s", series, guides) if series else ""


def _compared(records: list[Record]) -> list[str]:
    """The function's candidates, and of the other servers the quickest at 32 clients of those that compute in the same."""
    ours = names((record for record in records if not record.get("peer") and record["load"] != "alone"), "target")
    others = [best(records, peers(records, numbers), "rate", 32) for numbers in ("exact", "static", "dynamic")]
    return ours + [each.target for each in others if each]


def _points(results: Results, name: str, field: str) -> list[tuple[float, float]]:
    records = [record for record in results.records("throughput") if record["target"] == name and record["load"] == "single"]
    return [
        (count, Spread.of(pick(records, field, clients=count)).median)
        for count in sorted({record["clients"] for record in records})
    ]


def _latency(results: Results) -> str:
    records = [record for record in results.records("throughput") if record.get("clients") == 32 and record["load"] == "single"]
    groups = {
        name: {kind: Spread.of(pick(records, f"{kind}_ms", target=name)).median for kind in ("p50", "p99")}
        for name in _compared(results.records("throughput"))
        if name in names(records, "target")
    }
    return plots.bars("Latency at 32 clients", "ms", groups) if groups else ""


def _openloop(results: Results) -> str:
    records = [record for record in results.records("openloop") if record["kind"] == "steady"]
    groups = {
        load: {kind: Spread.of(pick(records, f"{kind}_ms", load=load)).median for kind in ("p50", "p99")}
        for load in names(records, "load")
    }
    return plots.bars("Open loop: latency from the intended time", "ms", groups) if groups else ""


def _start(results: Results) -> str:
    records = results.records("start")
    if not records:
        return ""
    phases = [record["phases"] for record in records if record["what"] == "function"]
    parts = {name: 1000 * Spread.of([record[name] for record in phases]).median for name in phases[0]}
    totals = {what: 1000 * Spread.of(pick(records, "seconds", what=what)).median for what in ("function", "hello", "torch")}
    parts["to the response"] = max(0.0, totals["function"] - sum(parts.values()))
    groups = {"function": parts, "hello-world Flask": {"all": totals["hello"]}, "import torch": {"all": totals["torch"]}}
    return plots.bars("Spawn to first response", "ms", groups, stacked=True)


def _hop(results: Results) -> str:
    records = results.records("hop")
    groups = {
        way: {size: Spread.of(pick(records, "median_ms", way=way, size=size)).median for size in ("1 int", "64 kB")}
        for way in names(records, "way")
    }
    return plots.bars("Round trip between client and agent, median", "ms", groups) if groups else ""
