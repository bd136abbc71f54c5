"""The library's parser and flow control as a connection of ours uses them; what it would do otherwise is said at each."""

from __future__ import annotations

import fcntl
import struct
import termios
from typing import Protocol

import httptools
from uvicorn.protocols.http.flow_control import FlowControl

#: What the library says, and what a client can make more of.
_REASONS = {"Pause on PRI/Upgrade": "HTTP/2 is not served here"}


class ParserEvents(Protocol):
    """Who is told: `connection.Connection`."""

    reason: str | None

    def ignore_upgrade(self, rest: bytes) -> None:
        """The parser stopped where another protocol would begin, before ``rest``."""


class Parser(httptools.HttpRequestParser):
    """The library's parser; its connection learns why it stopped."""

    def __init__(self, connection: ParserEvents) -> None:
        super().__init__(connection)
        self._connection = connection
        # As uvicorn has it: what follows a request that ends the connection is ignored.
        self.set_dangerous_leniencies(lenient_data_after_close=True)

    def feed_data(self, data: bytes) -> None:  # type: ignore[override] # uvicorn and we give it nothing else
        """Parses more bytes."""
        try:
            super().feed_data(data)
        except httptools.HttpParserUpgrade as stop:
            self._connection.ignore_upgrade(data[stop.args[0] :])
        except httptools.HttpParserError as error:
            self._connection.reason = _REASONS.get(str(error), str(error))
            raise


class Flow(FlowControl):
    """The library's flow control; nothing is read while bytes wait for the parser."""

    held = False

    def unsent(self) -> int:
        """Bytes that the client has not taken: what waits here, and then what the system holds for it, which may be megabytes."""
        waiting = self._transport.get_write_buffer_size()
        if waiting:
            try:
                sent = fcntl.ioctl(self._transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
            except (OSError, ValueError):
                return waiting
            waiting += struct.unpack("i", sent)[0]
        return waiting

    def resume_reading(self) -> None:
        """Reads on, unless bytes are held."""
        if not self.held:
            super().resume_reading()


class Trailers(list[tuple[bytes, bytes]]):
    """Headers that come behind a body: none is kept, or it would be taken for one of the head."""

    def append(self, _: tuple[bytes, bytes]) -> None:
        """Keeps nothing."""


def with_path(url: bytes) -> bytes:
    """A target in absolute form whose path is empty has the path ``/``. Source: RFC 9112, 3.2.1."""
    parsed = httptools.parse_url(url)
    return url if parsed.path else b"/" + (b"?" + parsed.query if parsed.query else b"")
