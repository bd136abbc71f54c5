"""Writes a ttrpc connection's responses, and bounds what clients leave unread."""

from __future__ import annotations

import asyncio
import os
import time

from agent.transports.budget import Budget
from vaccel_rpc import frames
from vaccel_rpc.tensorfields import LARGE
from vaccel_rpc.wire import Parts


class ResponseWriter:
    """Writes to ``transport``, whose socket is ``fd``.

    Large responses, and all while the client does not read, count against ``budget`` until they are
    sent. ``blocked``: since when the client has read nothing of what was written (monotonic seconds),
    as far as `notice_progress` knows; None while nothing is unread.
    """

    def __init__(self, transport: asyncio.Transport, fd: int, budget: Budget) -> None:
        self._transport, self._fd, self._budget = transport, fd, budget
        self._held = self._left = 0
        self._small: list[bytes] = []
        self.blocked: float | None = None

    def write(self, parts: Parts, length: int, *, more: bool = True) -> bool:
        """Sends a response of ``length`` bytes; False, and sends nothing, where the budget refuses.

        A response that is small is sent in any case, unless others are unread; ``more``: see
        `write_small`.
        """
        if length < LARGE and self.blocked is None:
            self.write_small(parts, more=more)
            return True
        if not self._budget.reserve(length):
            return False
        self._held += length
        self.flush()
        self._write_large([memoryview(part) for part in parts if len(part)])
        self._settle()
        return True

    def write_small(self, parts: Parts, *, more: bool = True) -> None:
        """Sends a small response, whatever is unread: where ``more`` may follow in this turn of the event
        loop, as the responses to a batch do, in one piece with them.
        """
        if more and not self._small:
            asyncio.get_running_loop().call_soon(self.flush)
        self._small.append(b"".join(parts))
        if not more:
            self.flush()

    def flush(self) -> None:
        """Passes the small responses on to the transport."""
        if self._small:
            small, self._small = b"".join(self._small), []
            self._transport.write(small)

    def pause(self) -> None:
        """The client does not read: what is written from here on is kept."""
        self.blocked, self._left = time.monotonic(), self._transport.get_write_buffer_size()

    def notice_progress(self) -> None:
        """Takes note of what the client has read since the last time.

        A large response to a slow client may take minutes.
        """
        if self.blocked is None:
            return
        left = self._transport.get_write_buffer_size()
        if left < self._left:
            self.blocked = time.monotonic()
        self._left = left

    def resume(self) -> None:
        """The client has read nearly everything."""
        self.blocked = None
        self._settle()

    def close(self) -> None:
        """The connection has ended, and keeps nothing."""
        self._budget.release(self._held)
        self._held = 0

    def _write_large(self, parts: list[memoryview]) -> None:
        if not self._transport.get_write_buffer_size():
            parts = self._written(parts)
        for part in parts:
            self._transport.write(part)

    def _written(self, parts: list[memoryview]) -> list[memoryview]:
        """The parts that are left after one write."""
        try:
            return frames.unsent(parts, os.writev(self._fd, parts[: frames.MAX_PIECES]))
        except OSError:
            return parts  # asyncio gets the same error and handles it

    def _settle(self) -> None:
        """Gives back what has been sent."""
        left = 0 if self.blocked is None else min(self._held, self._transport.get_write_buffer_size())
        self._budget.release(self._held - left)
        self._held = left
