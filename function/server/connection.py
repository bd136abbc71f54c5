"""What uvicorn's parser reports of a client's connection: counted and bounded here, and nothing is parsed.

A request's bytes go `HttpConnection.data_received` -> the library's parser -> ``on_message_begin``,
``on_headers_complete``, ``on_body``, ``on_message_complete`` -> `application`. What the parser
rejects and what exceeds a limit becomes a `Problem`, written after the responses to the requests
before it. How the connection lives and ends is in `lifecycle`.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, NoReturn

import httptools

from function.core.problems import Problem
from function.server.arrival import KEY, Arrival
from function.server.lifecycle import ConnectionLifecycle
from function.server.parser import Parser, Trailers, with_path
from function.server.refusals import MAX_FRAMING, MAX_HEAD, bad_target, framing_too_large, head_too_large
from function.server.strict import header_bytes

#: The parser gets so many bytes at a time, so that a client cannot have thousands of short requests queued at once.
_SLICE = 4 << 10
#: Bytes of framing that each byte of a body may have, besides `MAX_FRAMING`.
_FRAMING_PER_BYTE = 16


class HttpConnection(ConnectionLifecycle):
    """A client's connection: what the transport receives, and what the parser makes of it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.parser = Parser(self)
        self.parser_error: str | None = None
        #: A head without its Upgrade, to be parsed again.
        self._head_without_upgrade = b""
        #: Bytes of the current head; then bytes of framing, less what the body's own bytes allow for.
        self._overhead = 0

    def data_received(self, data: bytes) -> None:
        """Parses the bytes, or keeps them while pipelined requests before them are answered."""
        self.group.busy(self)
        if self._stopped:
            return
        if self._backlog:
            self._backlog += data
        else:
            self._parse(data)

    def on_message_begin(self) -> None:
        """The parser has seen a request's first byte."""
        super().on_message_begin()
        self._arrival, self._head_complete, self._overhead = Arrival(self.loop.time(), self), False, 0
        self.scope["state"][KEY] = self._arrival

    def on_header(self, name: bytes, value: bytes) -> None:
        """Removes white space behind a value, which the parser leaves there. Source: RFC 9112, 5.1."""
        super().on_header(name, value.rstrip(b" \t"))

    def on_headers_complete(self) -> None:
        """The head is complete: checks what the library does not, then has the library start or queue the request."""
        if self._overhead > MAX_HEAD - 2 * _SLICE:
            self._check_head_size()
        if self.parser.should_upgrade():
            self._head_without_upgrade = self._without_upgrade()
            return
        if self.url[:1] not in (b"/", b"*"):
            try:
                self.url = with_path(self.url)
            except httptools.HttpParserInvalidURLError:
                self._stop_parser(bad_target())
        if self.parser.get_http_version() == "1.0":
            self.expect_100_continue = False
        queued = self._busy
        super().on_headers_complete()
        if not queued:
            self._answering = self.cycle
        self._head_complete, self._overhead = True, 0
        # What the library appends from now on are trailers, which nobody reads.
        self.headers = Trailers()
        if self._arrival:
            self._arrival.queued = queued
        if self._draining:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """A part of a body has arrived; it allows for more framing."""
        self._overhead = max(0, self._overhead - (1 + _FRAMING_PER_BYTE) * len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request has arrived completely."""
        if self._head_without_upgrade:
            return
        super().on_message_complete()
        self._overhead = 0
        # A trailer may have closed the connection, and the parser would take nothing more.
        if not self.parser.should_keep_alive():
            self.cycle.keep_alive = False
        if self._arrival:
            self._arrival.complete = True
            self._arrival = None

    def ignore_upgrade(self, rest: bytes) -> None:
        """Parses the head again without its Upgrade, and goes on with ``rest``, which the parser has left."""
        head, self._head_without_upgrade = self._head_without_upgrade, b""
        self.parser = Parser(self)
        self.parser.feed_data(head)
        self.parser.feed_data(rest)

    def send_400_response(self, msg: str) -> None:
        """Called by the library for a request that its parser rejects, also by `_stop_parser`."""
        detail = f"the request is not valid HTTP/1.1: {self.parser_error or msg}"
        problem, self._refusal = self._refusal or Problem(HTTPStatus.BAD_REQUEST, detail), None
        self.refuse(problem)

    def on_response_complete(self) -> None:
        """Goes on with the next pipelined request, or with bytes that waited."""
        self._answering = self.pipeline[-1][0] if self.pipeline else None
        if self.pipeline:
            super().on_response_complete()
        else:
            # As the library does, but without its timer for idle connections, which `Connections` closes.
            self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self._flow.resume_reading()
        if self._backlog and not self.pipeline:
            self._flow.held = False
            self._flow.resume_reading()
            data, self._backlog = self._backlog, b""
            self._parse(data)
            if self._input_ended:
                self._end_of_input()
        if not self._busy:
            self._become_idle()

    def _parse(self, data: bytes) -> None:
        for start in range(0, len(data), _SLICE):
            part = data[start : start + _SLICE] if len(data) > _SLICE else data
            self._overhead += len(part)
            super().data_received(part)
            if self._stopped or self.transport.is_closing():
                return
            if self._overhead > (MAX_FRAMING if self._head_complete else MAX_HEAD):
                self.refuse(framing_too_large() if self._head_complete else head_too_large())
                return
            if self.pipeline and start + _SLICE < len(data):
                self._backlog = data[start + _SLICE :]
                self._flow.held = True
                self._flow.pause_reading()
                return

    def _check_head_size(self) -> None:
        if len(self.url) + header_bytes(self.headers) > MAX_HEAD:
            self._stop_parser(head_too_large())

    def _stop_parser(self, problem: Problem) -> NoReturn:
        """Stops the parser from within one of its callbacks; the library then calls `send_400_response`."""
        self._refusal = problem
        raise httptools.HttpParserError(problem.detail)

    def _without_upgrade(self) -> bytes:
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._stop_parser(Problem(HTTPStatus.NOT_IMPLEMENTED, "this is not a proxy: CONNECT is not served"))
        version = self.parser.get_http_version().encode()
        headers = [name + b": " + value for name, value in self.headers if name != b"upgrade"]
        return b"\r\n".join([b"%s %s HTTP/%s" % (method, self.url, version), *headers, b"", b""])
