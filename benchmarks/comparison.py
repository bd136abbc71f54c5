"""Who is compared with whom: the function's exact and int8 candidates, and of the other servers
those that are best at something.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from benchmarks.markdown import names, pick
from benchmarks.plan import Record
from loadkit.stats import Spread

#: The candidate that runs the model itself, over a unix socket.
EXACT = "function, unix"


class Best(NamedTuple):
    """A target and its figure."""

    target: str
    value: float


def figure(records: Iterable[Record], target: str, field: str, clients: int, load: str = "single") -> float:
    """The median of a target's figure over the repeats; NaN where it was not measured."""
    return Spread.of(pick(records, field, target=target, load=load, clients=clients)).median


def best(records: Sequence[Record], targets: Iterable[str], field: str, clients: int) -> Best | None:
    """The target with the highest ``rate``, or with the lowest of another field; None where none has it."""
    figures = [Best(target, figure(records, target, field, clients)) for target in targets]
    known = [each for each in figures if each.value == each.value]
    choose: Callable[..., Best] = max if field == "rate" else min
    return choose(known, key=lambda each: each.value) if known else None


def peers(records: Sequence[Record], *numbers: str) -> list[str]:
    """The other servers that compute in one of these, `benchmarks.peers.settings.Numbers`."""
    return names((record for record in records if record.get("peer") in numbers), "target")


def int8(records: Sequence[Record]) -> str:
    """The candidate that ran int8, the one with the highest rate at 32 clients of several; empty without one."""
    ran = names((record for record in records if record.get("ran") == "int8"), "target")
    fastest = best(records, ran, "rate", 32)
    return fastest.target if fastest else ""
