"""Simulated workloads: when requests arrive, and how long their texts are."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from agent.engines.cost import Cost
from benchmarks.schedule import Segment, times

#: Seconds between the requests of a burst, and between a response and its client's next request,
#: which the function takes.
GAP = 0.0005
TURN = 0.001


@dataclass(frozen=True)
class Workload:
    """Requests with these ``lengths``: an open loop sends them at ``times``, a closed one has
    ``clients`` that send them in turn.
    """

    name: str
    lengths: Sequence[int]
    times: Sequence[float] = ()
    clients: int = 0


def poisson(name: str, rate: float, lengths: Sequence[int], seed: int = 1) -> Workload:
    """An open loop with Poisson arrivals at a rate, one request for each length."""
    moments = times([Segment(rate, len(lengths) / rate)], "poisson", seed)[: len(lengths)]
    return Workload(name, lengths[: len(moments)], moments)


def bursts(name: str, size: int, every: float, lengths: Sequence[int]) -> Workload:
    """An open loop with ``size`` requests at a time, ``every`` so many seconds."""
    return Workload(name, lengths, [i // size * every + i % size * GAP for i in range(len(lengths))])


def closed(name: str, clients: int, lengths: Sequence[int]) -> Workload:
    """A closed loop: each client sends its next request after a response."""
    return Workload(name, lengths, clients=clients)


def mixed(short: Sequence[int], longest: int, seed: int = 1) -> list[int]:
    """Replaces about one length in ten by ``longest``."""
    chance = random.Random(seed)
    return [longest if chance.random() < 0.1 else length for length in short]


def capacity(cost: Cost, lengths: Sequence[int], workers: int, rows: int = 8) -> float:
    """Requests a second if every batch were full and had rows of the most similar lengths."""
    ordered = sorted(lengths)
    batches = [ordered[at : at + rows] for at in range(0, len(ordered), rows)]
    return workers * len(ordered) / sum(cost.seconds(len(batch), batch[-1]) for batch in batches)


def standard(cost: Cost, lengths: Sequence[int], workers: int, longest: int = 512) -> list[Workload]:
    """Light load, busy, saturation, bursts; and the busy load with one long text in ten."""
    full, with_long = capacity(cost, lengths, workers), mixed(lengths, longest)
    return [
        poisson("light (0.3 of capacity)", 0.3 * full, lengths),
        poisson("busy (0.7)", 0.7 * full, lengths),
        poisson("nearly full (0.9)", 0.9 * full, lengths),
        bursts("bursts of 64 (0.5)", 64, 64 / (0.5 * full), lengths),
        closed("closed, 32 clients", 32, lengths),
        closed("closed, 128 clients", 128, lengths),
        poisson(f"one in ten of {longest} (0.7)", 0.7 * capacity(cost, with_long, workers), with_long),
    ]
