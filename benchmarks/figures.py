"""Which plots are made of a run."""

from __future__ import annotations

from benchmarks import plots
from benchmarks.markdown import names, pick
from benchmarks.results import Results
from loadkit.stats import Spread


def all_figures(results: Results) -> dict[str, str]:
    """File name -> SVG, of the parts that were measured."""
    made = {
        "throughput": _throughput(results),
        "latency": _latency(results),
        "openloop": _openloop(results),
        "start": _start(results),
        "hop": _hop(results),
    }
    return {f"{name}.svg": svg for name, svg in made.items() if svg}


def _throughput(results: Results) -> str:
    records = results.records("throughput")
    series = {name: _points(results, name, "rate") for name in names(records, "target") if not name.startswith("torch")}
    guides = {
        name: Spread.of(pick(records, "rate", target=name)).median
        for name in names(records, "target")
        if name.startswith("torch")
    }
    return plots.lines("Requests a second", "clients (closed loop)", "requests/s", series, guides) if series else ""


def _points(results: Results, name: str, field: str) -> list[tuple[float, float]]:
    records = [one for one in results.records("throughput") if one["target"] == name and one["load"] == "single"]
    return [
        (count, Spread.of(pick(records, field, clients=count)).median) for count in sorted({one["clients"] for one in records})
    ]


def _latency(results: Results) -> str:
    records = [one for one in results.records("throughput") if one.get("clients") == 32 and one["load"] == "single"]
    groups = {
        name: {kind: Spread.of(pick(records, f"{kind}_ms", target=name)).median for kind in ("p50", "p99")}
        for name in names(records, "target")
    }
    return plots.bars("Latency at 32 clients", "ms", groups) if groups else ""


def _openloop(results: Results) -> str:
    records = [one for one in results.records("openloop") if one["kind"] == "steady"]
    groups = {
        load: {kind: Spread.of(pick(records, f"{kind}_ms", load=load)).median for kind in ("p50", "p99")}
        for load in names(records, "load")
    }
    return plots.bars("Open loop: latency from the intended time", "ms", groups) if groups else ""


def _start(results: Results) -> str:
    records = results.records("start")
    if not records:
        return ""
    phases = [one["phases"] for one in records if one["what"] == "function"]
    parts = {name: 1000 * Spread.of([one[name] for one in phases]).median for name in phases[0]}
    whole = {what: 1000 * Spread.of(pick(records, "seconds", what=what)).median for what in ("function", "hello", "torch")}
    parts["to the answer"] = max(0.0, whole["function"] - sum(parts.values()))
    groups = {"function": parts, "hello-world Flask": {"all": whole["hello"]}, "import torch": {"all": whole["torch"]}}
    return plots.bars("Spawn to first answer", "ms", groups, stacked=True)


def _hop(results: Results) -> str:
    records = results.records("hop")
    groups = {
        way: {size: Spread.of(pick(records, "median_ms", way=way, size=size)).median for size in ("1 int", "64 kB")}
        for way in names(records, "way")
    }
    return plots.bars("The hop: there and back, median", "ms", groups) if groups else ""
