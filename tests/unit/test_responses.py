"""Responses that a client reads slowly, or not at all."""

from __future__ import annotations

import asyncio
import time
from typing import cast

import pytest

from agent.transports.budget import Budget
from agent.transports.responses import ResponseWriter


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
