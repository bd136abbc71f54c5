"""The rates of the other model servers with each of several settings."""

from __future__ import annotations

from dataclasses import replace

from benchmarks import load
from benchmarks.peers.environments import PEERS
from benchmarks.peers.files import prepare
from benchmarks.peers.settings import tried
from benchmarks.plan import Record, Run
from benchmarks.texts import single

_CLIENTS = (1, 8, 32)


def measure(run: Run) -> list[Record]:
    """Records by ``peer``, ``settings`` and ``clients``."""
    records: list[Record] = []
    peers = [peer for peer in PEERS if run.wants(peer.name)]
    prepare(peers, run.others, run.log)
    for peer in peers:
        for settings in tried(peer.form):
            run.log(f"{peer.name}: {settings}")
            with replace(peer, settings=settings).run() as running:
                messages = single(running.path, [(text, 0) for text in run.texts])
                for clients in _CLIENTS:
                    end = run.plan.warm + run.plan.seconds
                    outcome = load.run(load.LoadJob(list(running.ports), messages, clients, end))
                    summary = outcome.summary(run.plan.warm, end)
                    records.append({"peer": peer.name, "settings": str(settings), "clients": clients, **summary})
    return records
