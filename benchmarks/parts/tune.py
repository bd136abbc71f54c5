"""The rates of the other model servers with each of several settings."""

from __future__ import annotations

from dataclasses import replace

from benchmarks import load
from benchmarks.peers.environments import PEERS, SETTINGS
from benchmarks.plan import Record, Run
from benchmarks.texts import single

_CLIENTS = (1, 8, 32)


def measure(run: Run) -> list[Record]:
    """Records by ``peer``, ``settings`` and ``clients``."""
    records: list[Record] = []
    for peer in PEERS:
        peer.install()
        for settings in SETTINGS:
            variant = replace(peer, settings=settings)
            run.log(f"{peer.name}: {variant.about}")
            with variant.run() as running:
                messages = single(running.path, [(text, 0) for text in run.texts])
                for clients in _CLIENTS:
                    end = run.plan.warm + run.plan.seconds
                    outcome = load.run(load.LoadJob(list(running.ports), messages, clients, end))
                    records.append(
                        {
                            "peer": f"{peer.name} {peer.version}",
                            "settings": variant.about,
                            "clients": clients,
                            **outcome.summary(run.plan.warm, end),
                        }
                    )
    return records
