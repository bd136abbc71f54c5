"""What the closed loop compares: the function by each kind of address and in each precision that
the store has, and other model servers.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping

import click

from benchmarks.peers.environments import ALONE, PEERS, PeerServer
from benchmarks.peers.files import FormAbout, prepare
from benchmarks.plan import Run
from benchmarks.targets import SCHEMES, BenchmarkTarget, Running, ours
from benchmarks.torch_alone import MODEL
from loadkit.texts import TEXT

_FAST = "--precision=fast"
_SUFFIXES = (".pt", ".pt2", ".onnx")


def chosen(run: Run) -> list[BenchmarkTarget]:
    """The targets that the run wants, with what they need prepared.

    Raises ``click.UsageError`` where ``--targets`` names none; plain torch is not among them.
    """
    functions = _functions(run)
    peers = (*PEERS, *ALONE) if run.peers else ()
    names = ["torch", *(target.name for target in functions), *map(_name, peers)]
    if not any(map(run.wants, names)):
        raise click.UsageError(f"--targets: the names are {'; '.join(names)}")
    peers = tuple(peer for peer in peers if run.wants(_name(peer)))
    about = prepare(peers, run.others, run.log)
    return [target for target in functions if run.wants(target.name) or target.name in run.variants] + [
        _peer(peer, about) for peer in peers
    ]


def _functions(run: Run) -> list[BenchmarkTarget]:
    every = [ours(scheme) for scheme in SCHEMES]
    if any(path.suffix in _SUFFIXES for path in MODEL.parent.glob(f"{MODEL.stem}.int8.*")):
        every.append(BenchmarkTarget("function, fast", ours("unix", _FAST).run, about=_FAST))
    return every + [BenchmarkTarget(name, ours("unix", options).run, about=options) for name, options in run.variants.items()]


def _peer(peer: PeerServer, about: Mapping[str, FormAbout]) -> BenchmarkTarget:
    figures = f"; {about[peer.form]}" if peer.form in about and peer.numbers != "exact" else ""
    return BenchmarkTarget(_name(peer), peer.run, about=f"{peer.settings}{figures}", peer=peer.numbers, alone=peer in ALONE)


def _name(peer: PeerServer) -> str:
    return f"{peer.name} for one client" if peer in ALONE else peer.name


def precision(running: Running) -> str:
    """The precision that the function names in an answer: ``exact`` where the model itself ran."""
    body = json.dumps({"text": TEXT}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{running.ports[0]}{running.path}", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as response:
        model = json.load(response)["model"]
    return str(model.get("precision", "exact"))
