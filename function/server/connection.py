"""A client's connection: what uvicorn's parser sees of it is counted, timed and bounded here, and nothing is parsed.

A request's bytes go `HttpConnection.data_received` -> the library's parser -> ``on_message_begin``, ``on_headers_complete``,
``on_body``, ``on_message_complete`` -> `application`. What the parser refuses, and what does not arrive in time, becomes a
problem, after the answers to the requests before it.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from function.core.problems import Problem
from function.server.arrival import KEY, Arrival, late
from function.server.connections import problem_bytes
from function.server.parser import Flow, Parser, Trailers, with_path
from function.server.strict import MAX_FRAMING, MAX_HEAD, bad_target, size_of, too_large, too_much_framing

if TYPE_CHECKING:
    from function.server.connections import Connections

#: The parser gets so much at a time, so that a client cannot have thousands of short requests made ready at once.
_SLICE = 4 << 10
#: Bytes of framing that each of a body's own may have, beside `MAX_FRAMING`.
_EACH = 16
#: How long a connection that has been given up is read from, so that the client can read why.
_LINGER_S = 2.0


class HttpConnection(HttpToolsProtocol):
    """A client's connection, one of ``group``."""

    group: ClassVar[Connections]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.parser = Parser(self)
        self.reason: str | None = None
        self._receiving: Arrival | None = None
        self._answering: RequestResponseCycle | None = None
        self._headed = self._ended = self._broken = self._draining = False
        self._refusal: Problem | None = None
        self._waiting = b""
        self._rebuilt = b""
        self._uncounted = 0
        self._since = self.loop.time()
        self._unsent = (0, 0.0)
        self._gone = asyncio.Event()
        self._lingering: asyncio.TimerHandle | None = None

    # What the transport tells.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(transport)
        self.flow = self._flow = Flow(transport)
        self.group.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over, at whichever side."""
        super().connection_lost(exc)
        self._forget()
        self.group.remove(self)
        if self._lingering:
            self._lingering.cancel()
        self._gone.set()

    def data_received(self, data: bytes) -> None:
        """Bytes have arrived."""
        self.group.busy(self)
        if self._broken:
            return
        if self._waiting:
            self._waiting += data
        else:
            self._feed(data)

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client sends no more; it may still read. Whether the connection is kept for that."""
        self._ended = True
        self._end_of_input()
        return self._busy and not self.transport.is_closing()

    # What the parser tells.

    def on_message_begin(self) -> None:
        """A request's first byte."""
        super().on_message_begin()
        self._receiving, self._headed, self._uncounted = Arrival(self.loop.time(), self.cut), False, 0
        self.scope["state"][KEY] = self._receiving

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header. White space behind a value is none of it, which the parser leaves there. Source: RFC 9112, 5.1."""
        super().on_header(name, value.rstrip(b" \t"))

    def on_headers_complete(self) -> None:
        """A whole head."""
        if self._uncounted > MAX_HEAD - 2 * _SLICE:
            self._check_size()
        if self.parser.should_upgrade():
            self._rebuilt = self._without_upgrade()
            return
        if self.url[:1] not in (b"/", b"*"):
            try:
                self.url = with_path(self.url)
            except httptools.HttpParserInvalidURLError:
                self._stop(bad_target())
        if self.parser.get_http_version() == "1.0":
            self.expect_100_continue = False
        queued = self._busy
        super().on_headers_complete()
        if not queued:
            self._answering = self.cycle
        self._headed, self._uncounted = True, 0
        # What the library appends from now on are trailers, and nobody reads them.
        self.headers = Trailers()
        if self._receiving:
            self._receiving.queued = queued
        if self._draining:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""
        self._uncounted = max(0, self._uncounted - (1 + _EACH) * len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The end of a request."""
        if self._rebuilt:
            return
        super().on_message_complete()
        self._uncounted = 0
        # A trailer may have said so: the parser would take nothing more.
        if not self.parser.should_keep_alive():
            self.cycle.keep_alive = False
        if self._receiving:
            self._receiving.complete = True
            self._receiving = None

    def ignore_upgrade(self, rest: bytes) -> None:
        """The parser has stopped where another protocol would begin: it goes on as though none had been asked for."""
        head, self._rebuilt = self._rebuilt, b""
        self.parser = Parser(self)
        self.parser.feed_data(head)
        self.parser.feed_data(rest)

    def send_400_response(self, msg: str) -> None:
        """What the library does with a request that it cannot parse."""
        detail = f"the request is not valid HTTP/1.1: {self.reason or msg}"
        problem, self._refusal = self._refusal or Problem(HTTPStatus.BAD_REQUEST, detail), None
        self.refuse(problem)

    # What the server tells.

    def on_response_complete(self) -> None:
        """An answer has been written."""
        self._answering = self.pipeline[-1][0] if self.pipeline else None
        super().on_response_complete()
        if self.transport.is_closing():
            return
        if self._waiting and not self.pipeline:
            self._flow.held = False
            self._flow.resume_reading()
            data, self._waiting = self._waiting, b""
            self._feed(data)
            if self._ended:
                self._end_of_input()
        if not self._busy:
            self._idle()

    def shutdown(self) -> None:
        """The server ends: what has begun to arrive is answered, and a stream is told."""
        self._draining = True
        if self._receiving is None and not self._waiting and not self._busy:
            self.transport.close()
        elif self._headed or self._receiving is None:
            self.cycle.keep_alive = self.cycle.keep_alive and bool(self._waiting)
            if self._receiving and self._receiving.streams:
                self.loop.call_later(self.group.times.read, self._fail, "the function is shutting down")

    def check(self, now: float) -> None:
        """Ends what has taken too long."""
        unsent = self._flow.unsent()
        if unsent != self._unsent[0]:
            self._unsent = unsent, now
        elif unsent and now - self._unsent[1] > self.group.times.write:
            self._forget()
            self.transport.abort()
        if self._broken or self.transport.is_closing():
            return
        if self._receiving and not self._headed:
            if now - self._receiving.began > self.group.times.read:
                self.refuse(late(self.group.times.read))
        elif not self._receiving and not self._busy and now - self._since > self.group.times.idle:
            self.transport.close()

    def refuse(self, problem: Problem) -> None:
        """Nothing more is read; the client is told so after the answers that it waits for."""
        if self._broken:
            return
        self._broken = True
        if self._receiving and self._headed:
            self._fail(problem.detail)
        elif self._busy:
            self._refusal = problem
        else:
            self._tell(problem)

    async def cut(self) -> None:
        """Ends the connection after what has been written, in the middle of an answer."""
        self._broken = True
        self._close()
        await self._gone.wait()

    @property
    def _busy(self) -> bool:
        """Whether an answer is still to be written."""
        return self.cycle is not None and not self.cycle.response_complete

    def _forget(self) -> None:
        """Tells the request that is being answered that nobody waits for it: the library tells the one that came last."""
        if self._answering:
            self._answering.disconnected = self._answering.scope["state"][KEY].gone = True
            self._answering.message_event.set()

    def _feed(self, data: bytes) -> None:
        for at in range(0, len(data), _SLICE):
            part = data[at : at + _SLICE] if len(data) > _SLICE else data
            self._uncounted += len(part)
            super().data_received(part)
            if self._broken or self.transport.is_closing():
                return
            if self._uncounted > (MAX_FRAMING if self._headed else MAX_HEAD):
                self.refuse(too_much_framing() if self._headed else too_large())
                return
            if self.pipeline and at + _SLICE < len(data):
                self._waiting = data[at + _SLICE :]
                self._flow.held = True
                self._flow.pause_reading()
                return

    def _check_size(self) -> None:
        if len(self.url) + size_of(self.headers) > MAX_HEAD:
            self._stop(too_large())

    def _stop(self, problem: Problem) -> NoReturn:
        """Ends the parser, which calls `send_400_response` then."""
        self._refusal = problem
        raise httptools.HttpParserError(problem.detail)

    def _without_upgrade(self) -> bytes:
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._stop(Problem(HTTPStatus.NOT_IMPLEMENTED, "this is not a proxy: CONNECT is not served"))
        version = self.parser.get_http_version().encode()
        headers = [name + b": " + value for name, value in self.headers if name != b"upgrade"]
        return b"\r\n".join([b"%s %s HTTP/%s" % (method, self.url, version), *headers, b"", b""])

    def _end_of_input(self) -> None:
        if self._receiving and self._headed:
            self._fail("the client sent no more")
        elif not self._busy:
            self.transport.close()

    def _fail(self, reason: str) -> None:
        """Tells the application that no more of the body comes."""
        self._broken = True
        if self._receiving:
            self._receiving.failure = reason
            self.cycle.message_event.set()

    def _idle(self) -> None:
        if self._refusal:
            self._tell(self._refusal)
        elif self._ended or (self._draining and not self._receiving):
            self.transport.close()
        else:
            self._since = self.loop.time()
            if not self._receiving:
                self.group.idle(self)

    def _tell(self, problem: Problem) -> None:
        answer, identity = problem_bytes(problem)
        began = self._receiving.began if self._receiving else self.loop.time()
        self.group.record(problem.status, identity, self.loop.time() - began)
        self.transport.write(answer)
        self._close()

    def _close(self) -> None:
        """Ends the connection, but for a while reads what still comes: the client would lose the answer to a reset."""
        self._flow.held = False
        self._flow.resume_reading()
        if self._ended or not self.transport.can_write_eof() or not self.group.may_linger(self):
            self.transport.close()
        else:
            self.transport.write_eof()
            self._lingering = self.loop.call_later(_LINGER_S, self.transport.close)
