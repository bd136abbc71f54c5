"""How a client's connection lives and ends: its timeouts, its draining, and the errors after which it is closed.

The parser's side of the same connection is in `connection`, which keeps the state that is read here
up to date. A connection is closed in one of four ways:

- it is idle for too long, or the server shuts down while it is idle: closed at once;
- it is refused (`ConnectionLifecycle.refuse`): nothing more is read, the responses that are due are
  written, then the error, and the connection lingers so that the client can read it;
- the application cuts it (`cut`) after an incomplete response: it lingers as well;
- the client takes nothing of what was written to it for too long: aborted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from function.core.problems import Problem
from function.server.arrival import KEY, Arrival
from function.server.parser import Flow, head_of
from function.server.refusals import encoded, request_timeout

if TYPE_CHECKING:
    from function.server.connections import Connections

#: How long a connection that is being closed is read from, so that the client can read why.
_LINGER_S = 2.0


class ConnectionLifecycle(HttpToolsProtocol):
    """A client's connection, one of ``group``, apart from what the parser reports of it."""

    group: ClassVar[Connections]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: The request that is arriving, until its body is complete; and whether its head is.
        self._arrival: Arrival | None = None
        self._head_complete = False
        #: The request that is being answered, which with pipelining is not the last that arrived.
        self._answering: RequestResponseCycle | None = None
        #: Bytes that wait until the pipelined requests before them have been answered.
        self._backlog = b""
        #: Nothing more of what the client sends is parsed.
        self._stopped = False
        #: The client has closed its sending side.
        self._input_ended = False
        self._draining = False
        self._refusal: Problem | None = None
        self._idle_since = self.loop.time()
        #: Bytes that the client has not taken, and when their number last changed.
        self._unsent = (0, 0.0)
        self._lost = asyncio.Event()
        self._lingering: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Adds the connection to its group, which may refuse it."""
        super().connection_made(transport)
        self.flow = self._flow = Flow(transport)
        self.group.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tells the request that is being answered that its client is gone: the library tells the last one that arrived."""
        super().connection_lost(exc)
        if self._answering:
            self._answering.disconnected = self._answering.scope["state"][KEY].disconnected = True
            self._answering.message_event.set()
        self.group.remove(self)
        if self._lingering:
            self._lingering.cancel()
        self._lost.set()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Returns whether the connection stays open for a client that sends no more: while a response is due."""
        self._input_ended = True
        self._end_of_input()
        return self._busy and not self.transport.is_closing()

    def shutdown(self) -> None:
        """Called when the server shuts down: requests that have begun to arrive are answered, and a stream is told to end."""
        self._draining = True
        if self._arrival is None and not self._backlog and not self._busy:
            self.transport.close()
        elif self._head_complete or self._arrival is None:
            self.cycle.keep_alive = self.cycle.keep_alive and bool(self._backlog)
            if self._arrival and self._arrival.is_stream:
                self.loop.call_later(self.group.timeouts.read, self._fail, "the function is shutting down")

    def check(self, now: float) -> None:
        """Enforces the timeouts of writing, of reading a head and of idleness; ``now`` is the event loop's time."""
        unsent = self._flow.unsent()
        if unsent != self._unsent[0]:
            self._unsent = unsent, now
        elif unsent and now - self._unsent[1] > self.group.timeouts.write:
            self.transport.abort()
        if self._stopped or self.transport.is_closing():
            return
        if self._arrival and not self._head_complete:
            if now - self._arrival.began > self.group.timeouts.read:
                self.refuse(request_timeout(self.group.timeouts.read))
        elif not self._arrival and not self._busy and now - self._idle_since > self.group.timeouts.idle:
            self.transport.close()

    def refuse(self, problem: Problem) -> None:
        """Stops reading, and closes the connection with ``problem`` after the responses that are due."""
        if self._stopped:
            return
        self._stopped = True
        if self._arrival and self._head_complete:
            self._fail(problem.detail)
        elif self._busy:
            self._refusal = problem
        else:
            self._write_problem(problem)

    async def respond(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> None:
        """Writes a complete response in one piece, which the library would write in two."""
        cycle = self._answering
        if cycle and self._flow.write_paused and not cycle.disconnected:
            await self._flow.drain()
        if cycle is None or cycle.disconnected:
            return
        if (b"connection", b"close") in headers:
            cycle.keep_alive = False
        elif not cycle.keep_alive:
            headers = [*headers, (b"connection", b"close")]
        head = head_of(status, [*cycle.default_headers, *headers])
        cycle.response_started = cycle.response_complete = True
        self.transport.write(head if cycle.scope["method"] == "HEAD" else head + body)
        cycle.message_event.set()
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()

    async def cut(self) -> None:
        """Closes the connection after what has been written, in the middle of a response."""
        self._stopped = True
        self._close()
        await self._lost.wait()

    @property
    def _busy(self) -> bool:
        """Whether a response is still to be written."""
        return self.cycle is not None and not self.cycle.response_complete

    def _end_of_input(self) -> None:
        if self._arrival and self._head_complete:
            self._fail("the client stopped sending")
        elif not self._busy:
            self.transport.close()

    def _fail(self, reason: str) -> None:
        """Tells the application that the rest of the body will not come."""
        self._stopped = True
        if self._arrival:
            self._arrival.failure = reason
            self.cycle.message_event.set()

    def _become_idle(self) -> None:
        if self._refusal:
            self._write_problem(self._refusal)
        elif self._input_ended or (self._draining and not self._arrival):
            self.transport.close()
        else:
            self._idle_since = self.loop.time()
            if not self._arrival:
                self.group.idle(self)

    def _write_problem(self, problem: Problem) -> None:
        response, request_id = encoded(problem)
        began = self._arrival.began if self._arrival else self.loop.time()
        self.group.record(problem.status, request_id, self.loop.time() - began)
        self.transport.write(response)
        self._close()

    def _close(self) -> None:
        """Closes the connection, but reads on for a while: closed with unread input, it would be reset and the response lost."""
        self._flow.held = False
        self._flow.resume_reading()
        if self._input_ended or not self.transport.can_write_eof() or not self.group.may_linger(self):
            self.transport.close()
        else:
            self.transport.write_eof()
            self._lingering = self.loop.call_later(_LINGER_S, self.transport.close)
