"""The benchmarks' results, tables, pages and plots, made of small made-up numbers."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from benchmarks import plots
from benchmarks.config import EXTRA
from benchmarks.markdown import table
from benchmarks.report import ReportError, fill, filled, tables, write
from benchmarks.results import Results, read
from benchmarks.tables import TABLES
from benchmarks.tables.goals import Goal
from tests.support.paths import ROOT

MACHINE = {"cpu": "a CPU", "cores": "2", "torch": "2.13.0", "commit": "abc1234"}


def load(target: str, clients: int, rate: float, repeat: int = 0, kind: str = "single", **who: str) -> dict[str, Any]:
    numbers = {"rate": rate, "p50_ms": 1000 * clients / rate, "p99_ms": 2000 * clients / rate, "refused": 0, "failed": 0}
    more = {"short_p99_ms": 300.0, "long_p99_ms": 500.0} if kind == "mixed" else {}
    cost = {"cpu_ms": {"agent": 9.0, "load": 0.1}, "memory": {"agent": {"rss": 300.0, "pss": 250.0}}, "others": 0.05}
    return {
        "target": target,
        "about": "workers 2" if "mosec" in target else "",
        "load": kind,
        "clients": clients,
        "repeat": repeat,
        **numbers,
        **more,
        **cost,
        **who,
    }


def peer(target: str, numbers: str, *rates: float) -> list[dict[str, Any]]:
    """Another server's rates at 1, 8 and 32 clients."""
    return [load(target, clients, rate, peer=numbers) for clients, rate in zip((1, 8, 32), rates, strict=False)]


@pytest.fixture
def results() -> Results:
    """Every part, small."""
    alone = {"load": "alone", "largest": {"rows": 4, "length": 40, "ms": 20.0}, "p50_ms": 10.0}
    memory = {"rss": 50.0, "pss": 40.0}
    throughput = [
        {"target": "torch, batch 1", "rate": 100.0, **alone},
        {"target": "torch, sorted", "rate": 200.0, **alone},
        *(
            load("function, unix", clients, rate + repeat, repeat)
            for clients, rate in ((1, 80), (8, 150), (32, 180))
            for repeat in range(3)
        ),
        load("function, unix", 32, 120, kind="mixed"),
        load("function, unix", 8, 12, kind="several"),
        *(load("function, fast", clients, rate, ran="int8") for clients, rate in ((1, 100), (8, 230), (32, 280))),
        *peer("mosec 0.9.8 + torch", "exact", 45, 80, 70),
        *peer("mosec 0.9.8 + ONNX Runtime", "exact", 60, 120, 130),
        *peer("mosec 0.9.8 + ONNX Runtime for one client", "exact", 100),
        *peer("litserve 0.2.19 + ONNX Runtime int8 static", "static", 80, 200, 280),
        *peer("mosec 0.9.8 + ONNX Runtime int8 dynamic", "dynamic", 90, 300, 270),
    ]
    cpu = {"function, event loop": 0.25, "function, other threads": 0.25, "agent, event loop": 0.5, "agent, other threads": 1.0}
    shares = {
        "function": {"event loop: HTTP server": 0.5, "other threads: application": 0.495, "other threads: other": 0.005},
        "agent": {"other threads: batcher": 0.4, "event loop: transport": 0.6},
    }
    steady = {"load": "70% of capacity", "kind": "steady", "offered": 120.0, "rate": 119.0, "p50_ms": 20.0, "p99_ms": 80.0}
    common = {"max_ms": 90.0, "refused": 0, "refused_p99_ms": math.nan, "failed": 0, "capacity": 180.0}
    overload = {
        **steady,
        **common,
        "load": "overload, 150%",
        "kind": "overload",
        "refused": 9,
        "refused_p99_ms": 5.0,
        "recovery_s": 0.5,
    }
    rule = {"p50_ms": 20.0, "p99_ms": 90.0, "worst_wait_ms": 80.0, "rate": 170.0}
    parts: dict[str, list[dict[str, Any]]] = {
        "throughput": throughput,
        "openloop": [{**steady, **common}, overload],
        "start": [
            {"what": "function", "seconds": 0.24, "phases": {"interpreter": 0.06, "imports": 0.1}, "memory": memory},
            {"what": "hello", "seconds": 0.12, "memory": memory},
            {"what": "torch", "seconds": 1.2},
        ],
        "request": [
            {"what": "whole", "us": 600.0},
            {"what": "part", "part": "tokenizer", "us": 60.0},
            {"what": "beside", "part": "a line in the log", "us": 30.0},
            {"json": "json", "loads": 2.0, "dumps": 5.0},
        ],
        "around": [
            {
                "form": form,
                "rows": 3.5,
                "padding": 0.01,
                "rate": 300.0,
                "alone_ms": 1.0,
                "beside_ms": 1.25,
                "ms": cpu,
                "stacks": shares,
            }
            for form in ("exact", "int8")
        ],
        "hop": [{"way": "ttrpc, unix", "size": size, "median_ms": 0.2, "gb_s": 1.5} for size in ("1 int", "64 kB", "16 MiB")],
        "writes": [
            {"way": "ttrpc, tcp", "writes": name, "median_ms": ms} for name, ms in (("one", 0.2), ("two", 0.25), ("five", 0.3))
        ],
        "sessions": [{"sessions": n, "connections": n, "median_ms": 0.2, "p99_ms": 1.0, "memory": memory} for n in (0, 1000)],
        "models": [{"models": 1, "limit": 16, "median_ms": 0.2, "p99_ms": 1.0, "memory": memory}],
        "agents": [{"agents": 1, "cores": 2.0, "rate": 170.0, "p50_ms": 180.0, "p99_ms": 400.0, "memory": memory}],
        "rules": [
            {"cost": {"a": 0.003, "b": 0.0, "c": 0.0002, "d": 1e-7, "alone": 0.6, "error": 0.02}, "workers": 2},
            {"load": "busy", "rule": "shipped", **rule},
        ],
        "tune": [{"peer": "mosec", "settings": "workers 1", "clients": clients, "rate": 70.0} for clients in (1, 8, 32)],
    }
    collected = Results({"count": 600, "from": "made", "mean": 39.0, "p50": 35, "p99": 110, "most": 128})
    for name, records in parts.items():
        collected.add(name, records, MACHINE, quick=True)
    return collected


def test_the_results_survive_their_file(results: Results, tmp_path: Path) -> None:
    """Written and read; a part that is measured again takes the old one's place, the others stay."""
    results.write(tmp_path / "bench/results.json")
    again = read(tmp_path / "bench/results.json")
    again.add("hop", [], MACHINE, quick=False)
    assert again.records("hop") == []
    assert again.records("agents") == results.records("agents")
    assert read(tmp_path / "none.json") == Results()
    (tmp_path / "old.json").write_text('{"format": 0}')
    with pytest.raises(ValueError, match="measure again"):
        read(tmp_path / "old.json")


def test_every_table_is_made(results: Results) -> None:
    """Of numbers, with no NaN in it, and as many cells in every row as in its head."""
    texts = tables(results)
    assert set(texts) == {"setup", *TABLES}
    for text in texts.values():
        assert "nan" not in text
        for block in text.split("\n\n"):
            assert len({line.count("|") for line in block.splitlines() if line.startswith("|")}) <= 1, block
    assert "| function, unix | 81 (80-82) | 151 (150-152) | 181 (180-182) | 0.91 |" in texts["throughput"]
    assert "| 32 clients, of torch's best sorted rate | 0.91 | at least 0.85 | met |" in texts["goals"]
    mixed = "| mixed load, 32 clients: short texts' p99 over the largest batch's time, 20 ms | 15.00 | at most 3 | **missed** |"
    assert mixed in texts["goals"]
    assert "| ttrpc, tcp | 0.200 | 0.250 | 0.300 | 1.25 | 1.50 |" in texts["writes"]
    assert "| **around the model**: the sum less the model alone | 1.000 | 1.000 |" in texts["around"]
    assert "| of that padding, by its share of the tokens | 0.010 | 0.010 |" in texts["around"]
    assert "| agent, event loop: transport | 0.500 | 0.500 |" in texts["around"], "of these threads' time"
    assert "other threads: batcher" not in texts["around"], "most of the time of the model's threads is not sampled"
    assert "other threads: other" not in texts["around"], "it is too small to be a row"
    assert "\n\nmosec 0.9.8 + torch: workers 2.\n\n" in texts["throughput"]
    assert texts["goals"].endswith("\n\nMeanwhile everything else on the machine used 0.05 cores.")
    assert "128 clients" not in texts["goals"], "what was not measured is not claimed"


def test_the_goals_compare_with_the_best_peer(results: Results) -> None:
    """Of any engine, at each number of clients; int8 with static and with dynamic int8, each for its goal."""
    rows = [
        line.strip("| ").split(" | ") for line in tables(results)["goals"].splitlines() if line.startswith(("| exact", "| int8"))
    ]
    assert rows == [
        ["exact, 8 clients: rate over mosec 0.9.8 + ONNX Runtime", "1.26", "at least 1.3", "**missed**"],
        ["exact, 32 clients: rate over mosec 0.9.8 + ONNX Runtime", "1.39", "at least 1.3", "met"],
        ["exact, 1 client: median over mosec 0.9.8 + ONNX Runtime for one client", "1.23", "at most 1", "**missed**"],
        ["exact, 32 clients: p99 over mosec 0.9.8 + ONNX Runtime", "0.72", "below 1", "met"],
        ["int8, 8 clients: rate over litserve 0.2.19 + ONNX Runtime int8 static", "1.15", "at least 1.1", "met"],
        ["int8, 32 clients: rate over litserve 0.2.19 + ONNX Runtime int8 static", "1.00", "at least 1.1", "**missed**"],
        ["int8, 32 clients: rate over mosec 0.9.8 + ONNX Runtime int8 dynamic", "1.04", "at least 1", "met"],
        ["int8, 1 client: median over mosec 0.9.8 + ONNX Runtime int8 dynamic", "0.90", "at most 1", "met"],
        ["int8, 32 clients: p99 over litserve 0.2.19 + ONNX Runtime int8 static", "1.00", "below 1", "**missed**"],
    ]


@pytest.mark.parametrize(
    ("goal", "verdict"),
    [
        (Goal("rate", 1.3, "at least", 1.3), "met"),
        (Goal("rate", 1.2999, "at least", 1.3), "**missed**"),
        (Goal("median", 1.0, "at most", 1), "met"),
        (Goal("median", 1.001, "at most", 1), "**missed**"),
        (Goal("p99", 0.999, "below", 1), "met"),
        (Goal("p99", 1.0, "below", 1), "**missed**"),
    ],
)
def test_a_goal_is_met_or_missed(goal: Goal, verdict: str) -> None:
    """By the exact figure, at the edge too, whatever the rounded one looks like."""
    assert goal.row()[-1] == verdict


def test_without_peers_no_goal_names_one(results: Results) -> None:
    """What was not measured is not claimed, and a table without a figure is left out."""
    part = results.parts["throughput"]
    part["records"] = [r for r in part["records"] if "peer" not in r and r["load"] not in ("mixed", "several") and "ran" not in r]
    texts = tables(results)
    assert "exact," not in texts["goals"]
    assert "int8" not in texts["goals"]
    assert "loads" not in texts


def test_a_busy_machine_is_told(results: Results) -> None:
    """Figures made beside other work are called a sketch."""
    for record in results.records("throughput"):
        record["others"] = 0.5
    assert "the machine was not quiet" in tables(results)["goals"]


def test_a_page_is_filled(results: Results, tmp_path: Path) -> None:
    """Between its markers, twice with the same result; what was not measured keeps what it says."""
    page = tmp_path / "performance.md"
    page.write_text("# A\n\n<!-- bench: hop -->\nold\n<!-- end -->\n\ntext\n\n<!-- bench: start -->\n<!-- end -->\n")
    fill(results, page)
    first = page.read_text()
    assert "old" not in first
    assert first.count("| ttrpc, unix |") == 1
    assert "\n\ntext\n\n" in first
    fill(results, page)
    assert page.read_text() == first
    del results.parts["hop"]
    fill(results, page)
    assert page.read_text() == first
    assert (tmp_path / "performance/start.svg").exists()


def test_an_unknown_marker_is_refused(results: Results) -> None:
    """The error lists the markers that exist."""
    with pytest.raises(ReportError, match="'hopp'; the known ones are agents"):
        filled("<!-- bench: hopp -->\n<!-- end -->", tables(results))


def test_the_page_has_every_marker() -> None:
    """docs/performance.md shows all that is measured, and every plot."""
    text = (ROOT / "docs/performance.md").read_text()
    for name in TABLES:
        assert name in EXTRA or f"<!-- bench: {name} -->" in text
    for name in ("throughput", "latency", "openloop", "start", "hop"):
        assert f"(performance/{name}.svg)" in text


def test_plots_are_xml(results: Results, tmp_path: Path) -> None:
    """Every figure parses, and names what it shows."""
    write(results, tmp_path)
    plots = {path.stem: ET.parse(path) for path in tmp_path.glob("*.svg")}
    assert set(plots) == {"throughput", "latency", "openloop", "start", "hop"}
    text = "".join(plots["throughput"].getroot().itertext())
    assert "mosec 0.9.8 + ONNX Runtime int8 dynamic" in text
    assert "mosec 0.9.8 + torch" not in text, "of the peers that compute in the same, only the quickest is drawn"
    assert (tmp_path / "results.md").read_text().count("\n## ") == len(TABLES)


def test_names_in_plots_are_escaped() -> None:
    """A name may hold what XML does not."""
    ET.fromstring(plots.bars("a < b & c", "ms", {"<x>": {"a": 1.0}}))
    ET.fromstring(plots.lines("<", "x", "y", {"&": [(1, 2.0), (32, 3.0)]}, {"<": 1.0}))


def test_a_table() -> None:
    """A table has a header, a line of dashes and its rows, as Markdown wants it."""
    assert table(("a", "b"), [("1", "2")]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
