"""uvicorn's and httptools' classes as a connection uses them; each says in what it differs from the library's."""

from __future__ import annotations

import fcntl
import re
import struct
import termios
from collections.abc import Iterable
from typing import Protocol

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

#: The parser's error -> one that tells a client more.
_REASONS = {"Pause on PRI/Upgrade": "HTTP/2 is not served here"}
#: Control characters besides those that end a line.
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class ParserEvents(Protocol):
    """What a `Parser` reports to besides httptools' callbacks: `connection.HttpConnection`."""

    parser_error: str | None

    def ignore_upgrade(self, rest: bytes) -> None:
        """Called where the parser stopped because another protocol would begin with ``rest``."""


class Parser(httptools.HttpRequestParser):
    """httptools' parser; it also reports why it stopped."""

    def __init__(self, connection: ParserEvents) -> None:
        super().__init__(connection)
        self._connection = connection
        # As in uvicorn: what follows a request that closes the connection is ignored.
        self.set_dangerous_leniencies(lenient_data_after_close=True)

    def feed_data(self, data: bytes) -> None:  # type: ignore[override] # uvicorn and we pass nothing else
        """Parses more bytes. Raises `httptools.HttpParserError`, after its message has been kept."""
        try:
            super().feed_data(data)
        except httptools.HttpParserUpgrade as stop:
            self._connection.ignore_upgrade(data[stop.args[0] :])
        except httptools.HttpParserError as error:
            self._connection.parser_error = _REASONS.get(str(error), str(error))
            raise


class Flow(FlowControl):
    """uvicorn's flow control; with ``held`` set, reading stays paused: bytes wait for the parser."""

    held = False

    def unsent(self) -> int:
        """Bytes that the client has not taken: of the transport's buffer and, if there are any, of the system's."""
        waiting = self._transport.get_write_buffer_size()
        if waiting:
            try:
                in_system = fcntl.ioctl(self._transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
            except (OSError, ValueError):
                return waiting
            waiting += struct.unpack("i", in_system)[0]
        return waiting

    def resume_reading(self) -> None:
        """Resumes reading, unless bytes wait for the parser."""
        if not self.held:
            super().resume_reading()


class Trailers(list[tuple[bytes, bytes]]):
    """The list to which the library appends trailers: it keeps none, or they would be taken for headers."""

    def append(self, _: tuple[bytes, bytes]) -> None:
        """Drops a trailer."""


def head_of(status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A response's status line and headers as bytes. Raises ``ValueError`` for a character that a head must not have."""
    lines = [STATUS_LINE[status]]
    for name, value in headers:
        lines += name, b": ", value, b"\r\n"
    lines.append(b"\r\n")
    head = b"".join(lines)
    if _CONTROL.search(head) or not head.count(b"\r") == head.count(b"\n") == len(lines) // 4 + 2:
        raise ValueError("a header of the response has a control character")
    return head


def with_path(url: bytes) -> bytes:
    """A target in absolute form; an empty path becomes ``/``. Source: RFC 9112, 3.2.1."""
    parsed = httptools.parse_url(url)
    return url if parsed.path else b"/" + (b"?" + parsed.query if parsed.query else b"")
