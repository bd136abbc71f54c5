"""Responses that a client reads slowly, or not at all."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import cast

import pytest

from agent.transports.budget import Budget
from agent.transports.responses import ResponseWriter
from vaccel_rpc.tensorfields import LARGE


class Buffer:
    """A transport whose client has left ``size`` bytes unread."""

    def __init__(self, size: int) -> None:
        self.size = size

    def get_write_buffer_size(self) -> int:
        return self.size


def test_a_client_that_reads_slowly_is_not_blocked(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as it reads anything; it is blocked since it last did."""
    clock = [100]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    buffer = Buffer(1000)
    writer = ResponseWriter(cast("asyncio.Transport", buffer), -1, Budget(1 << 20))
    writer.notice_progress()
    assert writer.blocked is None
    writer.pause()
    for clock[0], size, since in ((120, 1000, 100), (140, 900, 140), (160, 900, 140), (170, 1500, 140), (180, 1499, 180)):
        buffer.size = size
        writer.notice_progress()
        assert writer.blocked == since
    writer.resume()
    writer.notice_progress()
    assert writer.blocked is None


def test_small_responses_of_one_turn_go_together() -> None:
    """In one write, before a large one that comes later in the turn, and at the latest before the end."""

    async def run() -> list[bytes]:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
        writer = ResponseWriter(transport, ours.fileno(), Budget(1 << 20))
        received = []
        for parts in ((b"a", b"b"), (b"c",)):
            writer.write_small(parts)
        with pytest.raises(BlockingIOError):
            theirs.recv(1 << 20)
        await asyncio.sleep(0)
        received.append(theirs.recv(1 << 20))
        assert writer.write((b"d",), 1)
        assert writer.write((bytes(LARGE),), LARGE)
        received.append(theirs.recv(1 << 20))
        writer.write_small((b"e",))
        assert writer.write((b"f",), 1, more=False), "at once, after those before it"
        received.append(theirs.recv(1 << 20))
        writer.write_small((b"g",))
        writer.flush()
        transport.close()
        await asyncio.sleep(0)
        received.append(theirs.recv(1 << 20))
        theirs.close()
        return received

    assert asyncio.run(run()) == [b"abc", b"d" + bytes(LARGE), b"ef", b"g"]
