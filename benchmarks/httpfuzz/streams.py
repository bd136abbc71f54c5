"""Requests one behind the other, as one connection carries them, and what went wrong with some."""

from __future__ import annotations

import itertools
import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.httpfuzz import drafts, oracle
from benchmarks.httpfuzz.oracle import CANARY, Expectation, ExpectedResponse

_SPLIT = 0.15
_DETAIL = re.compile(r"\d+|\b(?:bytearray\()?b(['\"]).*")


@dataclass(frozen=True, slots=True)
class FuzzStream:
    """The bytes of one connection, or of a while of it. ``cut``: the client's end is behind them. ``split``: sent in two parts."""

    first: int
    cases: int
    data: bytes
    verdict: Expectation
    cut: bool = False
    split: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong with which bytes; ``before``: what the connection had carried before them."""

    stream: FuzzStream
    wrong: str
    got: bytes
    before: bytes = b""

    @property
    def kind(self) -> str:
        """What went wrong, without its numbers and bytes."""
        return _DETAIL.sub("", self.wrong)


def streams(seed: int, first: int, count: int, most: int = 6) -> Iterator[FuzzStream]:
    """The cases from ``first`` on, in streams: up to ``most`` clean ones, or to the first that is not, and a canary."""
    number, last = first, first + count
    while number < last:
        chance, begun = random.Random(seed << 41 | number), number
        depth = chance.randint(1, most)
        parts: list[bytes] = []
        wants: list[ExpectedResponse] = []
        while True:
            case = drafts.case(seed, number)
            number += 1
            data = case.data if case.ends else case.data + CANARY
            verdict = oracle.read(data)
            if not verdict.clean or case.ends or number - begun >= depth or number >= last:
                break
            parts.append(case.data)
            wants += verdict.wants[:-1]
        joined = b"".join((*parts, data))
        split = chance.randrange(len(joined)) if chance.random() < _SPLIT else 0
        verdict = Expectation((*wants, *verdict.wants), verdict.tail, verdict.reason, verdict.head)
        yield FuzzStream(begun, number - begun, joined, verdict, case.ends, split)


def minimized(failure: Failure, fails: Callable[[FuzzStream], bool], tries: int = 250, seconds: float = 15.0) -> bytes:
    """Fewer bytes that still fail, on a connection of their own; the canary stays behind them. As they are if they do not fail so."""
    stream, end = failure.stream, time.monotonic() + seconds
    canary = CANARY if stream.data.endswith(CANARY) else b""
    data = stream.data.removesuffix(canary)
    budget = itertools.count()

    def still(shorter: bytes) -> bool:
        within = next(budget) < tries and time.monotonic() < end
        joined = shorter + canary
        return within and fails(FuzzStream(0, 1, joined, oracle.read(joined), stream.cut))

    size = len(data) if still(data) else 0
    while size := size // 2:
        at = 0
        while at < len(data):
            shorter = data[:at] + data[at + size :]
            if still(shorter):
                data = shorter
            else:
                at += size
    return data + canary
