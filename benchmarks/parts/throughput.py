"""Closed loop: requests a second and latency of plain torch, the function by each kind of address,
and other servers, in turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks import candidates, largest, load, torch_alone
from benchmarks.plan import Record, Run
from benchmarks.targets import BenchmarkTarget, Running
from benchmarks.texts import LONGEST, mixed, several, single
from loadkit.stats import percentile
from loadkit.usage import memory_mib

#: The loads that are measured with few numbers of clients: many texts in a request, texts of very
#: different lengths.
_SEVERAL, _SEVERAL_CLIENTS, _MIXED_CLIENTS = 16, 8, (8, 32)
#: The most clients of the other servers.
_PEER_CLIENTS = 32

Messages = list[tuple[str, int]]


def measure(run: Run) -> list[Record]:
    """Records by ``target``, ``load`` (single, several, mixed) and ``clients``.

    ``peer``: what another server computes in; ``ran``: the precision in which the function ran the
    model. Those of plain torch have the load ``alone``, and the agent's ``largest`` batch, measured
    with them.
    """
    records: list[Record] = []
    every = candidates.chosen(run)
    for repeat in range(run.plan.repeats):
        if run.wants("torch"):
            run.log(f"plain torch, repeat {repeat + 1} of {run.plan.repeats}")
            records += [{**record, "repeat": repeat} for record in _torch(run)]
        # The order rotates, so that drift does not always affect the same target.
        first = repeat % max(1, len(every))
        for target in every[first:] + every[:first]:
            run.log(f"{target.name}, repeat {repeat + 1} of {run.plan.repeats}")
            records += [{**record, "repeat": repeat} for record in _target(run, target)]
    return records


def _torch(run: Run) -> Iterator[Record]:
    measured = torch_alone.measure(run.texts[: run.plan.alone])
    single_ms = measured["single_ms"]
    common = {"load": "alone", "largest": largest.measure()}
    figures = {
        "rate": 1000 * len(single_ms) / sum(single_ms),
        "p50_ms": percentile(single_ms, 0.5),
        "p99_ms": percentile(single_ms, 0.99),
    }
    yield {"target": "torch, batch 1", **common, **figures}
    for order, rates in measured["rates"].items():
        size = max(rates, key=rates.__getitem__)
        yield {"target": f"torch, {order}", **common, "rate": rates[size], "size": int(size), "rates": rates}


def _target(run: Run, target: BenchmarkTarget) -> Iterator[Record]:
    with target.run() as running:
        named = {"target": target.name, "about": target.about}
        named |= {"peer": target.peer} if target.peer else {"ran": candidates.precision(running)}
        for kind, messages, clients in _loads(run, target, running.path):
            yield {**named, **_point(run, running, kind, messages, clients)}


def _loads(run: Run, target: BenchmarkTarget, path: str) -> Iterator[tuple[str, Messages, int]]:
    """Load, messages and number of clients of each measurement.

    Other servers get a part of them, since no goal compares the rest.
    """
    if "single" in run.loads:
        yield from (
            ("single", single(path, [(text, 0) for text in run.texts]), count) for count in _clients(target, run.plan.clients)
        )
    if "mixed" in run.loads and not target.alone:
        counts = _MIXED_CLIENTS[-1:] if target.peer else _MIXED_CLIENTS
        yield from (("mixed", single(path, mixed(run.texts, LONGEST)), count) for count in counts)
    if "several" in run.loads and not target.peer:
        yield "several", several(path, run.texts, _SEVERAL), _SEVERAL_CLIENTS


def _clients(target: BenchmarkTarget, counts: Sequence[int]) -> list[int]:
    most = 1 if target.alone else _PEER_CLIENTS if target.peer else counts[-1]
    return [count for count in counts if count <= most]


def _point(run: Run, running: Running, kind: str, messages: Messages, clients: int) -> Record:
    begin, end = run.plan.warm, run.plan.warm + run.plan.seconds
    outcome = load.run(load.LoadJob(list(running.ports), messages, clients, end), running.pids)
    texts = _SEVERAL if kind == "several" else 1
    record = {"load": kind, "clients": clients, "texts": texts, **outcome.summary(begin, end)}
    if kind == "mixed":
        record |= {f"short_{name}": outcome.summary(begin, end, 0)[name] for name in ("p50_ms", "p99_ms")}
        record |= {f"long_{name}": outcome.summary(begin, end, 1)[name] for name in ("p50_ms", "p99_ms")}
    memory = {name: memory_mib(*pids) for name, pids in running.pids.items()}
    return {**record, "cpu_ms": outcome.cpu_ms(), "others": outcome.others / outcome.seconds, "memory": memory}
