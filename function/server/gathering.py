"""A body, gathered in the event loop: within its size, and within one deadline for the whole of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from function.core.problems import Problem
from function.server.arrival import Arrival, late
from function.server.head import Head

Receive = Callable[[], Awaitable[dict[str, Any]]]

#: Bytes of a body too large that are read and dropped, so that the client reads its answer and not a reset.
MAX_DROPPED = 64 << 20


class Disconnected(Exception):
    """The client is gone, and nobody is left to be told."""


class Buffer:
    """Bytes of bodies that are arriving, of all clients together: at most ``most``."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.held = 0

    def take(self, count: int) -> bool:
        """Whether there was room for so many more."""
        if self.held + count > self.most:
            return False
        self.held += count
        return True

    def full(self) -> str:
        """What to tell a client for whom there was no room."""
        return f"bodies that are arriving fill the {self.most} bytes that they may have together (MAX_BUFFER)"

    def give_back(self, count: int) -> None:
        """So many are no longer held."""
        self.held -= count


class Gathering:
    """Gathers bodies of at most ``most`` bytes, each within ``timeout`` seconds of its request's first byte."""

    def __init__(self, most: int, timeout: float, buffer: Buffer) -> None:
        self._most, self._timeout, self._buffer = most, timeout, buffer

    async def whole(self, receive: Receive, head: Head, arrival: Arrival) -> bytes:
        """The body. Raises `Problem` (400, 408, 413, 503) and `Disconnected`."""
        if head.length == 0:
            arrival.complete = True
            return b""
        if (head.length or 0) > self._most and head.expects:
            raise self._too_large()
        if arrival.complete:
            return await self._parts(receive, head, arrival)
        try:
            async with asyncio.timeout_at(arrival.began + self._timeout):
                return await self._parts(receive, head, arrival)
        except TimeoutError:
            raise late(self._timeout) from None

    async def _parts(self, receive: Receive, head: Head, arrival: Arrival) -> bytes:
        parts: list[bytes] = []
        size = held = 0
        try:
            while True:
                part, more = await next_part(receive, arrival)
                size += len(part)
                if size <= self._most:
                    parts.append(part)
                else:
                    parts.clear()
                if not more:
                    break
                if arrival.failure:
                    raise _cut(arrival.failure, size, head.length)
                if size > MAX_DROPPED:
                    raise self._too_large()
                if size <= self._most:
                    held += self._hold(len(part))
        finally:
            self._buffer.give_back(held)
        if size > self._most:
            raise self._too_large()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _hold(self, count: int) -> int:
        if not self._buffer.take(count):
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, self._buffer.full(), {"Retry-After": "1"})
        return count

    def _too_large(self) -> Problem:
        return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is too large; at most {self._most} bytes (MAX_BODY)")


async def next_part(receive: Receive, arrival: Arrival) -> tuple[bytes, bool]:
    """The next bytes of a body, and whether more may follow. Raises `Disconnected`."""
    message = await receive()
    if message["type"] != "http.request":
        if not arrival.may_read:
            raise Disconnected
        arrival.failure = "the client sent no more"
        return b"", True
    more = message.get("more_body", False)
    if not more:
        arrival.complete = True
    return message.get("body", b""), more


def _cut(failure: str, size: int, length: int | None) -> Problem:
    if length is None:
        return Problem(HTTPStatus.BAD_REQUEST, f"the chunked body cannot be read to its end: {failure}")
    return Problem(HTTPStatus.BAD_REQUEST, f"the body ended after {size} of {length} bytes: {failure}")
