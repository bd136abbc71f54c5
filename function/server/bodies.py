"""Request bodies, read in the event loop: each within its limit of bytes and its deadline, all together within a budget."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from function.core.problems import Problem
from function.server.arrival import Arrival
from function.server.head import Head
from function.server.refusals import request_timeout

#: ASGI's ``receive``: awaits the next message of a request.
Receive = Callable[[], Awaitable[dict[str, Any]]]

#: Bytes of an oversized body that are read and dropped, so that the client reads its response and not a reset.
MAX_DROPPED = 64 << 20


class Disconnected(Exception):
    """The client is gone, and nobody would read a response."""


class BodyBudget:
    """Limits the bytes of bodies that are arriving, of all clients together, to ``limit``."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0

    def acquire(self, count: int) -> bool:
        """Holds ``count`` more bytes; returns False, and holds none of them, where the limit would be exceeded."""
        if self.held + count > self.limit:
            return False
        self.held += count
        return True

    def release(self, count: int) -> None:
        """Gives ``count`` bytes back."""
        self.held -= count

    def exceeded(self) -> str:
        """What to tell a client whose bytes `acquire` did not hold."""
        return f"request bodies that are arriving fill the buffer of {self.limit} bytes (MAX_BUFFER)"


class BodyReader:
    """Reads bodies of at most ``limit`` bytes, each within ``timeout`` seconds of its request's first byte."""

    def __init__(self, limit: int, timeout: float, budget: BodyBudget) -> None:
        self._limit, self._timeout, self._budget = limit, timeout, budget

    async def read(self, receive: Receive, head: Head, arrival: Arrival) -> bytes:
        """The complete body. Raises `Problem` (400, 408, 413, 503) and `Disconnected`."""
        if head.length == 0:
            arrival.complete = True
            return b""
        if (head.length or 0) > self._limit and head.expects_continue:
            raise self._too_large()
        if arrival.complete:
            return await self._read_parts(receive, head, arrival)
        try:
            async with asyncio.timeout_at(arrival.began + self._timeout):
                return await self._read_parts(receive, head, arrival)
        except TimeoutError:
            raise request_timeout(self._timeout) from None

    async def _read_parts(self, receive: Receive, head: Head, arrival: Arrival) -> bytes:
        parts: list[bytes] = []
        size = held = 0
        try:
            while True:
                part, more = await next_part(receive, arrival)
                size += len(part)
                if size <= self._limit:
                    parts.append(part)
                else:
                    parts.clear()
                if not more:
                    break
                if arrival.failure:
                    raise _incomplete(arrival.failure, size, head.length)
                if size > MAX_DROPPED:
                    raise self._too_large()
                if size <= self._limit:
                    held += self._acquire(len(part))
        finally:
            self._budget.release(held)
        if size > self._limit:
            raise self._too_large()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _acquire(self, count: int) -> int:
        if not self._budget.acquire(count):
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, self._budget.exceeded(), {"Retry-After": "1"})
        return count

    def _too_large(self) -> Problem:
        return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is too large; at most {self._limit} bytes (MAX_BODY)")


async def next_part(receive: Receive, arrival: Arrival) -> tuple[bytes, bool]:
    """The next bytes of a body, and whether more may follow. Raises `Disconnected`."""
    message = await receive()
    if message["type"] != "http.request":
        if not arrival.may_still_read:
            raise Disconnected
        arrival.failure = "the client stopped sending"
        return b"", True
    more = message.get("more_body", False)
    if not more:
        arrival.complete = True
    return message.get("body", b""), more


def _incomplete(failure: str, size: int, length: int | None) -> Problem:
    if length is None:
        return Problem(HTTPStatus.BAD_REQUEST, f"the chunked body cannot be read to its end: {failure}")
    return Problem(HTTPStatus.BAD_REQUEST, f"the body ended after {size} of {length} bytes: {failure}")
