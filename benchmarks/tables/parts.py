"""Tables of cold starts, the hop, scale and packing rules."""

from __future__ import annotations

from benchmarks.markdown import names, pick, shown, table
from benchmarks.plan import Record
from benchmarks.results import Results
from loadkit.stats import Spread


def start(results: Results) -> str:
    """Cold starts beside the import of torch and a hello-world."""
    records = results.records("start")
    torch = Spread.of(pick(records, "seconds", what="torch")).median
    rows = []
    for what, name in (
        ("function", "function, agent warm"),
        ("hello", "hello-world Flask, the same server"),
        ("torch", "`import torch`"),
    ):
        seconds = pick(records, "seconds", what=what)
        rss = [record["memory"]["rss"] for record in records if record["what"] == what and "memory" in record]
        ratio = f"{Spread.of(seconds).median / torch:.2f}"
        rows.append((name, shown([1000 * value for value in seconds], 0), ratio, shown(rss), f"{len(seconds)}"))
    return table(("", "spawn to first answer, ms", "of `import torch`", "RSS, MiB", "spawns"), rows) + "\n\n" + _phases(records)


def _phases(records: list[Record]) -> str:
    phases = [record["phases"] for record in records if record["what"] == "function"]
    rows = [(name, shown([1000 * record[name] for record in phases])) for name in phases[0]]
    return table(("phase of the function", "ms"), rows)


def request(results: Results) -> str:
    """CPU time of a request by part, and of its JSON by library, in microseconds."""
    records = results.records("request")
    total, rows, known = Spread.of(pick(records, "us", what="whole")).median, [], 0.0
    for name in dict.fromkeys(pick(records, "part", what="part")):
        us = pick(records, "us", part=name)
        known += Spread.of(us).median
        rows.append((f"{name}", shown(us), f"{Spread.of(us).median / total:.2f}"))
    rows.append(("the rest: cold caches, hand-overs", shown([total - known]), f"{1 - known / total:.2f}"))
    rows.append(("**whole**, 32 clients", shown(pick(records, "us", what="whole")), "1.00"))
    beside = dict.fromkeys(pick(records, "part", what="beside"))
    rows += [(f"beside it: {name}", shown(pick(records, "us", part=name)), "") for name in beside]
    libraries = [
        (name, *(shown(pick(records, field, json=name)) for field in ("loads", "dumps"))) for name in names(records, "json")
    ]
    return table(("part", "CPU, µs", "of the whole"), rows) + "\n\n" + table(("", "body, µs", "answer, µs"), libraries)


def hop(results: Results) -> str:
    """Round trips between client and agent by transport and size."""
    records = results.records("hop")
    rows = []
    for way in names(records, "way"):
        cells = [shown(pick(records, "median_ms", way=way, size=size), 3) for size in ("1 int", "64 kB")]
        large = [shown(pick(records, field, way=way, size="16 MiB"), digits) for field, digits in (("median_ms", 1), ("gb_s", 2))]
        rows.append((way, *cells, *large))
    return table(("", "1 int, ms", "64 kB, ms", "16 MiB, ms", "GB/s, there and back together"), rows)


def writes(results: Results) -> str:
    """Calls by the number of writes in which the client sends a frame."""
    records = results.records("writes")
    rows = []
    for way in names(records, "way"):
        times = {name: pick(records, "median_ms", way=way, writes=name) for name in names(records, "writes")}
        one = Spread.of(times["one"]).median
        ratios = [f"{Spread.of(values).over(one).median:.2f}" for name, values in times.items() if name != "one"]
        rows.append((way, *(shown(values, 3) for values in times.values()), *ratios))
    return table(("", "one write, ms", "two, ms", "five, ms", "two, of one", "five, of one"), rows)


def sessions(results: Results) -> str:
    """Latency and memory by the number of idle sessions."""
    records = results.records("sessions")
    return _scale(records, "sessions", "connections")


def models(results: Results) -> str:
    """Latency and memory by the number of models."""
    return _scale(results.records("models"), "models", "limit")


def _scale(records: list[Record], field: str, beside: str) -> str:
    first = min((record["memory"]["rss"] for record in records), default=0.0)
    rows = []
    for value in names(records, field):
        selected = [record for record in records if record[field] == value]
        more = [record["memory"]["rss"] - first for record in selected]
        times = [shown(pick(selected, name), 3) for name in ("median_ms", "p99_ms")]
        rows.append((f"{value:,}", f"{selected[0][beside]:,}", *times, shown(more)))
    return table((field, beside, "active client's median, ms", "p99, ms", "agent's RSS above the smallest, MiB"), rows)


def agents(results: Results) -> str:
    """Throughput by the number of agents that share the machine."""
    records = results.records("agents")
    rows = []
    for count in names(records, "agents"):
        selected = [record for record in records if record["agents"] == count]
        memory = shown([record["memory"]["pss"] for record in selected], 0)
        rows.append(
            (
                f"{count}",
                f"{selected[0]['cores']:g}",
                *(shown(pick(selected, name), 0) for name in ("rate", "p50_ms", "p99_ms")),
                memory,
            )
        )
    return table(("agents", "cores for each", "req/s together", "p50, ms", "p99, ms", "PSS of all, MiB"), rows)


def rules(results: Results) -> str:
    """Simulated packing rules: p50, p99, worst wait and requests a second."""
    cost, *records = results.records("rules")
    rows = [
        (
            name,
            *(
                _rule(next(record for record in records if record["rule"] == name and record["load"] == load))
                for load in names(records, "load")
            ),
        )
        for name in names(records, "rule")
    ]
    head = f"{_cost(cost['cost'])} Cells: p50 / p99 / worst wait in ms, requests a second."
    return f"{head}\n\n" + table(("rule", *names(records, "load")), rows)


def _cost(cost: Record) -> str:
    a, b, c, d = (1000 * cost[name] for name in "abcd")
    formula = f"{a:.2f} + rows * ({b:.3f} + {c:.4f} * length + {d:.6f} * length^2)"
    return f"A batch on one thread takes `{formula}` ms (median error of the fit {100 * cost['error']:.1f} %)."


def _rule(record: Record) -> str:
    return f"{record['p50_ms']:,.0f} / {record['p99_ms']:,.0f} / {record['worst_wait_ms']:,.0f}, {record['rate']:.0f}"
