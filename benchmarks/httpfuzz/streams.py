"""Requests as one connection carries them one after another, and the failures of some."""

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
    """The bytes that one connection carries at a time.

    ``cut``: the client ends its side after them; ``split``: where they are sent in two parts, if
    not 0.
    """

    first: int
    cases: int
    data: bytes
    expectation: Expectation
    cut: bool = False
    split: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """A fault and the bytes that caused it; ``before``: what the connection had carried before
    them.
    """

    stream: FuzzStream
    fault: str
    received: bytes
    before: bytes = b""

    @property
    def kind(self) -> str:
        """The fault without its numbers and bytes, to count similar ones."""
        return _DETAIL.sub("", self.fault)


def streams(seed: int, first: int, count: int, max_depth: int = 6) -> Iterator[FuzzStream]:
    """The cases from ``first`` on, in streams of up to ``most`` valid ones, or up to the first
    invalid one; then a canary.
    """
    number, last = first, first + count
    while number < last:
        chance, begun = random.Random(seed << 41 | number), number
        depth = chance.randint(1, max_depth)
        parts: list[bytes] = []
        responses: list[ExpectedResponse] = []
        while True:
            case = drafts.case(seed, number)
            number += 1
            data = case.data if case.ends else case.data + CANARY
            expectation = oracle.read(data)
            if not expectation.clean or case.ends or number - begun >= depth or number >= last:
                break
            parts.append(case.data)
            responses += expectation.responses[:-1]
        joined = b"".join((*parts, data))
        split = chance.randrange(len(joined)) if chance.random() < _SPLIT else 0
        expectation = Expectation((*responses, *expectation.responses), expectation.tail, expectation.reason, expectation.head)
        yield FuzzStream(begun, number - begun, joined, expectation, case.ends, split)


def minimized(failure: Failure, fails: Callable[[FuzzStream], bool], tries: int = 250, seconds: float = 15.0) -> bytes:
    """Fewer bytes that fail on a connection of their own, still followed by the canary.

    All bytes where they do not fail there.
    """
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
