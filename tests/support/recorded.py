"""Recorded sessions of upstream's clients and agents (tests/data/wire; its README has the format)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vaccel_rpc.frames import Frame, FrameReader, RefusedFrame

WIRE = Path(__file__).parents[1] / "data" / "wire"

Side = Literal["client", "agent"]


@dataclass(frozen=True)
class Chunk:
    """Bytes that one side wrote, as one ``recv`` gave them."""

    side: Side
    data: bytes


@dataclass(frozen=True)
class Recording:
    """A recorded session. ``calls``: the methods in order; the n-th is on stream 2n - 1."""

    calls: list[str]
    transport: Literal["unix", "tcp"]
    chunks: list[Chunk]

    def sent(self, side: Side) -> bytes:
        """All bytes of one side."""
        return b"".join(chunk.data for chunk in self.chunks if chunk.side == side)

    def frames(self, side: Side) -> list[Frame]:
        """The frames of one side, in order."""
        return list(_accepted(FrameReader(1 << 30).receive(self.sent(side))))

    def method(self, stream: int) -> str:
        """The method that was called on a stream."""
        return self.calls[(stream - 1) // 2]


def recording(name: str) -> Recording:
    """The session in ``NAME.jsonl``."""
    head, *lines = (json.loads(line) for line in (WIRE / f"{name}.jsonl").read_text().splitlines())
    return Recording(head["calls"], head["transport"], [Chunk(line["from"], bytes.fromhex(line["hex"])) for line in lines])


def _accepted(frames: Iterator[Frame | RefusedFrame]) -> Iterator[Frame]:
    for frame in frames:
        assert isinstance(frame, Frame)
        yield frame
