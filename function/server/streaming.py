"""Lines pass through as they come, in both directions. A stream holds a thread only while some of its lines are classified."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from function.core.jsonlines import PART, Answers, Line, Splitter
from function.server.arrival import Arrival
from function.server.gathering import Buffer, Disconnected, Receive, next_part
from function.server.threads import Threads

Send = Callable[[dict[str, Any]], Awaitable[None]]

#: Parts of one stream that are classified at the same time.
_JOBS = 2


class LineStream:
    """One stream of lines. ``silence``: seconds within which a line must be whole, while no answer is being made.

    ``turns``: how many parts of all streams are classified at the same time.
    """

    def __init__(
        self, receive: Receive, arrival: Arrival, splitter: Splitter, answers: Answers, *,
        threads: Threads, turns: asyncio.Semaphore, buffer: Buffer, silence: float,
    ) -> None:  # fmt: skip
        self._receive, self._arrival, self._splitter, self._answers = receive, arrival, splitter, answers
        self._threads, self._turns, self._buffer, self._silence = threads, turns, buffer, silence
        self._flying: deque[tuple[int, asyncio.Future[tuple[bytes, int]]]] = deque()
        self._reading: asyncio.Task[None] | None = None
        self._over = False
        self._held = 0
        self._failure: str | None = None

    async def run(self, send: Send, start: dict[str, Any], *, at_once: bool) -> bool:
        """Sends every answer, each as it comes, and the last line; whether the lines ended as they should. Raises `Disconnected`.

        ``start`` goes first, ``at_once`` or not before the first answer: a client that waits for a 100 would not get it any more.
        """
        started = at_once
        if at_once:
            await send(start)
        try:
            while body := await self._next():
                if not started:
                    started = True
                    await send(start)
                await send({"type": "http.response.body", "body": body, "more_body": True})
        finally:
            if self._reading:
                self._reading.cancel()
            for _, flight in self._flying:
                flight.cancel()
            self._buffer.give_back(self._held)
        if not started:
            await send(start)
        if last := self._answers.last(self._failure):
            await send({"type": "http.response.body", "body": last, "more_body": True})
        return self._failure is None

    async def _next(self) -> bytes:
        """The next answers in order; nothing at the end. Raises `Disconnected`: what the client has sent before it left is dropped."""
        since = asyncio.get_running_loop().time()
        while True:
            if self._arrival.gone:
                raise Disconnected
            self._start_parts()
            if self._flying and self._flying[0][1].done():
                count, flight = self._flying.popleft()
                answered, errors = flight.result()
                self._answers.count(count, errors)
                return answered
            waiting: list[asyncio.Future[Any]] = [self._flying[0][1]] if self._flying else []
            if not self._over and len(self._flying) < _JOBS:
                self._reading = self._reading or asyncio.ensure_future(self._read())
                waiting.append(self._reading)
            if not waiting:
                return b""
            await self._wait(waiting, since)

    def _start_parts(self) -> None:
        while len(self._flying) < _JOBS and (lines := self._splitter.take(PART)):
            self._flying.append((len(lines), asyncio.ensure_future(self._answered(lines))))

    async def _answered(self, lines: list[Line]) -> tuple[bytes, int]:
        async with self._turns:
            return await self._threads.run(lambda: self._answers.of(lines))

    async def _wait(self, waiting: list[asyncio.Future[Any]], since: float) -> None:
        # A client that waits for an answer of ours is not silent.
        left = None if self._flying else max(0.0, since + self._silence - asyncio.get_running_loop().time())
        done, _ = await asyncio.wait(waiting, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            self._end(f"no whole line arrived within {self._silence:g} s (READ_TIMEOUT_S)")
        elif self._reading in done:
            reading, self._reading = self._reading, None
            reading.result()

    async def _read(self) -> None:
        """Reads what has arrived. Only called when the splitter has no more lines to give."""
        part, more = await next_part(self._receive, self._arrival)
        self._splitter.feed(part)
        more_held = self._splitter.waiting - self._held
        if not more:
            self._splitter.end()
            self._over = True
        elif self._arrival.failure:
            self._end(self._arrival.failure)
        elif self._buffer.take(more_held):
            self._held += more_held
        else:
            self._end(self._buffer.full())

    def _end(self, failure: str) -> None:
        self._failure, self._over = failure, True
