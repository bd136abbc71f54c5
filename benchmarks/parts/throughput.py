"""Requests a second and latency, closed loop: plain torch, the function by each address, peers; in turn, and again."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import largest, load, targets, torch_alone
from benchmarks.peers.environments import PEERS
from benchmarks.plan import Record, Run
from benchmarks.texts import MOST, mixed, several, single
from loadkit.stats import percentile
from loadkit.usage import memory_mib

#: Clients of the loads that are measured once: many texts in a request, texts of very different length.
_SEVERAL, _SEVERAL_CLIENTS, _MIXED_CLIENTS = 16, 8, (8, 32)


def measure(run: Run) -> list[Record]:
    """Records of ``target``, ``load`` (single, several, mixed) and ``clients``; plain torch has ``load`` alone, and the
    agent's ``largest`` batch, measured beside it.
    """
    found: list[Record] = []
    chosen = [targets.ours(scheme) for scheme in targets.SCHEMES]
    chosen += [
        targets.BenchmarkTarget(name, targets.ours("unix", options).run, about=options) for name, options in run.variants.items()
    ]
    if run.peers:
        for peer in PEERS:
            peer.install()
            chosen.append(targets.BenchmarkTarget(f"{peer.name} {peer.version}", peer.run, several=False, about=peer.about))
    for repeat in range(run.plan.repeats):
        run.log(f"plain torch, repeat {repeat + 1} of {run.plan.repeats}")
        found += [{**record, "repeat": repeat} for record in _torch(run)]
        # Another order each time: what drifts is not always on the same one.
        for target in chosen[repeat % len(chosen) :] + chosen[: repeat % len(chosen)]:
            run.log(f"{target.name}, repeat {repeat + 1} of {run.plan.repeats}")
            found += [{**record, "repeat": repeat} for record in _target(run, target)]
    return found


def _torch(run: Run) -> Iterator[Record]:
    found = torch_alone.measure(run.texts[: run.plan.alone])
    single_ms = found["single_ms"]
    common = {"load": "alone", "largest": largest.measure()}
    one = {
        "rate": 1000 * len(single_ms) / sum(single_ms),
        "p50_ms": percentile(single_ms, 0.5),
        "p99_ms": percentile(single_ms, 0.99),
    }
    yield {"target": "torch, batch 1", **common, **one}
    for order, rates in found["rates"].items():
        size = max(rates, key=rates.__getitem__)
        yield {"target": f"torch, {order}", **common, "rate": rates[size], "size": int(size), "rates": rates}


def _target(run: Run, target: targets.BenchmarkTarget) -> Iterator[Record]:
    plan = run.plan
    with target.run() as running:
        messages = single(running.path, [(text, 0) for text in run.texts])
        for clients in plan.clients:
            yield _point(run, target, running, "single", messages, clients)
        for clients in _MIXED_CLIENTS:
            yield _point(run, target, running, "mixed", single(running.path, mixed(run.texts, MOST)), clients)
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
