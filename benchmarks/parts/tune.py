"""The peers' settings, tried: which is fastest at 8 and 32 clients."""

from __future__ import annotations

from dataclasses import replace

from benchmarks import load
from benchmarks.peers.environments import PEERS, TRIED
from benchmarks.plan import Record, Run
from benchmarks.texts import single

_CLIENTS = (1, 8, 32)


def measure(run: Run) -> list[Record]:
    """Records by ``peer``, settings and ``clients``."""
    found: list[Record] = []
    for peer in PEERS:
        peer.install()
        for settings in TRIED:
            tried = replace(peer, settings=settings)
            run.log(f"{peer.name}: {tried.about}")
            with tried.run() as running:
                messages = single(running.path, [(text, 0) for text in run.texts])
                for clients in _CLIENTS:
                    end = run.plan.warm + run.plan.seconds
                    outcome = load.run(load.LoadJob(list(running.ports), messages, clients, end))
                    found.append(
                        {
                            "peer": f"{peer.name} {peer.version}",
                            "settings": tried.about,
                            "clients": clients,
                            **outcome.summary(run.plan.warm, end),
                        }
                    )
    return found
