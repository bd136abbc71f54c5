"""Streams of lines, answered as they arrive. A stream holds a thread only while some of its lines are classified."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from function.core.jsonlines import PART, Answers, Line, Splitter
from function.server.arrival import Arrival
from function.server.bodies import BodyBudget, Disconnected, Receive, next_part
from function.server.threads import ThreadPool

#: ASGI's ``send``: sends a message of a response.
Send = Callable[[dict[str, Any]], Awaitable[None]]

#: Parts of one stream that are classified at the same time.
_PARTS_IN_FLIGHT = 2


class LineStream:
    """One stream of lines.

    ``semaphore`` limits how many parts of all streams are classified at the same time. ``timeout``:
    seconds within which a line must arrive while no response is being computed.
    """

    def __init__(
        self, receive: Receive, arrival: Arrival, splitter: Splitter, answers: Answers, *,
        threads: ThreadPool, semaphore: asyncio.Semaphore, budget: BodyBudget, timeout: float,
    ) -> None:  # fmt: skip
        self._receive, self._arrival, self._splitter, self._answers = receive, arrival, splitter, answers
        self._threads, self._semaphore, self._budget, self._timeout = threads, semaphore, budget, timeout
        #: How many lines each part in flight has, and its future: their responses, and how many of these are errors.
        self._in_flight: deque[tuple[int, asyncio.Future[tuple[bytes, int]]]] = deque()
        self._reading: asyncio.Task[None] | None = None
        self._input_ended = False
        self._held = 0
        self._failure: str | None = None

    async def run(self, send: Send, start: dict[str, Any], *, at_once: bool) -> bool:
        """Sends each response as it comes, then the last line; returns whether the lines ended properly. Raises `Disconnected`.

        ``start``, ASGI's first message, is sent ``at_once`` or before the first response: a client
        that expects a 100 Continue would not get it after ``start``.
        """
        started = at_once
        if at_once:
            await send(start)
        try:
            while body := await self._next_responses():
                if not started:
                    started = True
                    await send(start)
                await send({"type": "http.response.body", "body": body, "more_body": True})
        finally:
            if self._reading:
                self._reading.cancel()
            for _, part in self._in_flight:
                part.cancel()
            self._answers.abandon()
            self._budget.release(self._held)
        if not started:
            await send(start)
        if last := self._answers.last(self._failure):
            await send({"type": "http.response.body", "body": last, "more_body": True})
        return self._failure is None

    async def _next_responses(self) -> bytes:
        """The next responses in order; empty at the end. Raises `Disconnected`: lines that are left are dropped."""
        since = asyncio.get_running_loop().time()
        while True:
            if self._arrival.disconnected:
                raise Disconnected
            self._start_parts()
            if self._in_flight and self._in_flight[0][1].done():
                count, part = self._in_flight.popleft()
                responses, errors = part.result()
                self._answers.count(count, errors)
                return responses
            pending: list[asyncio.Future[Any]] = [self._in_flight[0][1]] if self._in_flight else []
            if not self._input_ended and len(self._in_flight) < _PARTS_IN_FLIGHT:
                self._reading = self._reading or asyncio.ensure_future(self._read())
                pending.append(self._reading)
            if not pending:
                return b""
            await self._wait(pending, since)

    def _start_parts(self) -> None:
        while len(self._in_flight) < _PARTS_IN_FLIGHT and (lines := self._splitter.take(PART)):
            self._in_flight.append((len(lines), asyncio.ensure_future(self._classify(lines))))

    async def _classify(self, lines: list[Line]) -> tuple[bytes, int]:
        async with self._semaphore:
            return await self._threads.run(lambda: self._answers.of(lines))

    async def _wait(self, pending: list[asyncio.Future[Any]], since: float) -> None:
        # While the client waits for a response, the timeout does not apply to it.
        remaining = None if self._in_flight else max(0.0, since + self._timeout - asyncio.get_running_loop().time())
        done, _ = await asyncio.wait(pending, timeout=remaining, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            self._fail(f"no complete line arrived within {self._timeout:g} s (READ_TIMEOUT_S)")
        elif self._reading in done:
            reading, self._reading = self._reading, None
            reading.result()

    async def _read(self) -> None:
        """Reads the next bytes. Must only be called when the splitter has no more lines."""
        data, more = await next_part(self._receive, self._arrival)
        self._splitter.feed(data)
        more_held = self._splitter.waiting - self._held
        if not more:
            self._splitter.end()
            self._input_ended = True
        elif self._arrival.failure:
            self._fail(self._arrival.failure)
        elif self._budget.acquire(more_held):
            self._held += more_held
        else:
            self._fail(self._budget.exceeded())

    def _fail(self, failure: str) -> None:
        self._failure, self._input_ended = failure, True
