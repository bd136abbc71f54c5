"""Tables of the parts that put a load on something."""

from __future__ import annotations

from benchmarks.markdown import names, pick, shown, table
from benchmarks.plan import Record
from benchmarks.results import Results
from loadkit.stats import Spread

#: Fields of an open loop's records, and their columns.
_ANSWERS = {
    "p50_ms": "p50, ms",
    "p99_ms": "p99, ms",
    "max_ms": "maximum, ms",
    "refused": "refused",
    "refused_p99_ms": "p99 of refusals, ms",
    "failed": "failed",
}


def throughput(results: Results) -> str:
    """Requests a second by target and number of clients; for plain torch, texts a second."""
    records = results.records("throughput")
    clients = sorted({record["clients"] for record in records if record["load"] == "single"})
    rows = [_throughput(records, name, clients) for name in names(records, "target")]
    heads = [f"{count} clients, req/s" if count > 1 else "1 client, req/s" for count in clients]
    text = table(
        ("", *heads, "at 32: of torch sorted", "p50, ms", "p99, ms", "1 client: p50, ms", f"refused at {clients[-1]}"), rows
    )
    about = {record["target"]: record["about"] for record in records if record.get("about")}
    return "\n\n".join([text, *(f"{name}: {settings}." for name, settings in about.items())])


def _throughput(records: list[Record], name: str, clients: list[int]) -> tuple[str, ...]:
    if _is_torch(name):
        selected = {field: shown(pick(records, field, target=name)) for field in ("rate", "p50_ms")}
        return (name, selected["rate"], *[""] * (len(clients) - 1), "", "", "", selected["p50_ms"], "")
    loads = {"target": name, "load": "single"}
    rates = [shown(pick(records, "rate", clients=count, **loads), 0) for count in clients]
    best = Spread.of(pick(records, "rate", target="torch, sorted")).median
    part = [rate / best for rate in pick(records, "rate", clients=32, **loads)]
    late = [shown(pick(records, field, clients=32, **loads), 0) for field in ("p50_ms", "p99_ms")]
    alone = shown(pick(records, "p50_ms", clients=1, **loads))
    return (
        name,
        *rates,
        shown([Spread.of(part).median], 2),
        *late,
        alone,
        shown(pick(records, "refused", clients=clients[-1], **loads), 0),
    )


def _is_torch(name: str) -> bool:
    return name.startswith("torch")


def loads(results: Results) -> str:
    """Loads of texts of very different lengths, and of many texts in a request; empty where neither was measured."""
    records = results.records("throughput")
    if not any(record["load"] in ("mixed", "several") for record in records):
        return ""
    rows = []
    for name in names(records, "target"):
        if any(record["target"] == name and record["load"] in ("mixed", "several") for record in records):
            mixed = [
                shown(pick(records, field, target=name, load="mixed", clients=32), 0)
                for field in ("rate", "short_p99_ms", "long_p99_ms")
            ]
            many = [16 * rate for rate in pick(records, "rate", target=name, load="several")]
            rows.append((name, *mixed, shown(many, 0), shown(pick(records, "p50_ms", target=name, load="several"), 0)))
    heads = ("mixed: req/s", "short texts' p99, ms", "long texts' p99, ms", "16 texts in a request: texts/s", "p50, ms")
    return table(("", *heads), rows)


def costs(results: Results) -> str:
    """CPU time and memory of each process at 32 clients."""
    records = [record for record in results.records("throughput") if record.get("clients") == 32 and record["load"] == "single"]
    rows = []
    for name in names(records, "target"):
        selected = [record for record in records if record["target"] == name]
        for process in selected[0]["cpu_ms"]:
            memory = [record["memory"][process] for record in selected if process in record["memory"]]
            sizes = [shown([record[kind] for record in memory], 0) for kind in ("rss", "pss")]
            rows.append((name, process, shown([record["cpu_ms"][process] for record in selected], 2), *sizes))
        rows.append((name, "everything else on the machine, cores", shown([record["others"] for record in selected], 2), "", ""))
    return table(("", "process", "CPU for a request, ms", "RSS, MiB", "PSS, MiB"), rows)


def openloop(results: Results) -> str:
    """Latency at given rates, and under overload with the recovery from it."""
    records = results.records("openloop")
    rows = []
    for load in names(records, "load"):
        selected = [record for record in records if record["load"] == load]
        offered, rate, *cells = (shown(pick(selected, name), 0) for name in ("offered", "rate", *_ANSWERS))
        part = shown([record["rate"] / record["capacity"] for record in selected], 2)
        back = [record["recovery_s"] for record in selected if record.get("recovery_s") is not None]
        rows.append(
            (load, offered, rate, part, *cells, f"{shown(back)} s" if back else "never" if "recovery_s" in selected[0] else "")
        )
    heads = ("offered, req/s", "answered, req/s", "of capacity", *_ANSWERS.values(), "recovered after")
    return table(("", *heads), rows)


def tune(results: Results) -> str:
    """The rates of the other model servers by their settings."""
    records = results.records("tune")
    rows = []
    for peer in names(records, "peer"):
        for about in names([record for record in records if record["peer"] == peer], "settings"):
            rates = [shown(pick(records, "rate", peer=peer, settings=about, clients=count), 0) for count in (1, 8, 32)]
            rows.append((peer, about, *rates))
    return table(("", "settings", "1 client, req/s", "8", "32"), rows)
