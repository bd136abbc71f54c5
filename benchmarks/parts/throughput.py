"""Closed loop: requests a second and latency of plain torch, the function by each kind of address,
and other servers, in turn.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import largest, load, targets, torch_alone
from benchmarks.peers.environments import PEERS
from benchmarks.plan import Record, Run
from benchmarks.texts import LONGEST, mixed, several, single
from loadkit.stats import percentile
from loadkit.usage import memory_mib

#: The loads that are measured with few numbers of clients: many texts in a request, texts of very
#: different lengths.
_SEVERAL, _SEVERAL_CLIENTS, _MIXED_CLIENTS = 16, 8, (8, 32)


def measure(run: Run) -> list[Record]:
    """Records by ``target``, ``load`` (single, several, mixed) and ``clients``.

    Those of plain torch have the load ``alone``, and the agent's ``largest`` batch, measured with
    them.
    """
    records: list[Record] = []
    every = [targets.ours(scheme) for scheme in targets.SCHEMES]
    every += [
        targets.BenchmarkTarget(name, targets.ours("unix", options).run, about=options) for name, options in run.variants.items()
    ]
    if run.peers:
        for peer in PEERS:
            peer.install()
            every.append(targets.BenchmarkTarget(f"{peer.name} {peer.version}", peer.run, several=False, about=peer.about))
    for repeat in range(run.plan.repeats):
        run.log(f"plain torch, repeat {repeat + 1} of {run.plan.repeats}")
        records += [{**record, "repeat": repeat} for record in _torch(run)]
        # The order rotates, so that drift does not always affect the same target.
        for target in every[repeat % len(every) :] + every[: repeat % len(every)]:
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


def _target(run: Run, target: targets.BenchmarkTarget) -> Iterator[Record]:
    plan = run.plan
    with target.run() as running:
        messages = single(running.path, [(text, 0) for text in run.texts])
        for clients in plan.clients:
            yield _point(run, target, running, "single", messages, clients)
        for clients in _MIXED_CLIENTS:
            yield _point(run, target, running, "mixed", single(running.path, mixed(run.texts, LONGEST)), clients)
        if target.several:
            many = several(running.path, run.texts, _SEVERAL)
            yield _point(run, target, running, "several", many, _SEVERAL_CLIENTS)


def _point(
    run: Run, target: targets.BenchmarkTarget, running: targets.Running, kind: str, messages: list[tuple[str, int]], clients: int
) -> Record:
    end = run.plan.warm + run.plan.seconds
    outcome = load.run(load.LoadJob(list(running.ports), messages, clients, end), running.pids)
    texts = _SEVERAL if kind == "several" else 1
    record = {
        "target": target.name,
        "about": target.about,
        "load": kind,
        "clients": clients,
        "texts": texts,
        **outcome.summary(run.plan.warm, end),
    }
    if kind == "mixed":
        record |= {f"short_{name}": outcome.summary(run.plan.warm, end, 0)[name] for name in ("p50_ms", "p99_ms")}
        record |= {f"long_{name}": outcome.summary(run.plan.warm, end, 1)[name] for name in ("p50_ms", "p99_ms")}
    memory = {name: memory_mib(*pids) for name, pids in running.pids.items()}
    return {**record, "cpu_ms": outcome.cpu_ms(), "others": outcome.others / outcome.seconds, "memory": memory}
