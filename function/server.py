"""The production HTTP server: cheroot, with requests gathered before they take a thread.

cheroot parses and answers, a thread for each request. A client that sends a byte a second would hold one of these threads; so
what arrives is first gathered here, by the one thread that also accepts, and a request is handed on when it is whole. Only
streams of lines are handed on when their head is.
"""

from __future__ import annotations

import logging
import math
import re
import time
from contextlib import suppress
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from cheroot import connections
from cheroot.server import ChunkedRFile, HeaderReader, HTTPRequest
from cheroot.wsgi import Server as WsgiServer

from function.gather import MAX_HEAD, PARTIAL, WHOLE, Connection, problem_bytes
from function.pool import Pool

_log = logging.getLogger("function.server")

#: Connections that may wait to be accepted: a burst of clients is queued, not refused.
_BACKLOG = 1024
#: Threads beyond the requests that are answered at the same time: for refusals and for health.
_SPARE = 8
_DIGITS = re.compile(rb"\d{1,18}")


class Server(WsgiServer):  # type: ignore[misc]
    """Serves a WSGI application.

    ``threads``: requests at the same time. ``max_body``: bytes of a body that are gathered. ``read_timeout``: seconds for a
    request to arrive; ``keep_alive``: for a connection to be idle; ``grace``: for what runs to finish.
    """

    def __init__(
        self,
        bind: tuple[str, int],
        app: Any,
        *,
        threads: int,
        max_body: int,
        read_timeout: float,
        keep_alive: float,
        grace: float,
    ) -> None:
        super().__init__(
            bind, app, server_name="function", request_queue_size=_BACKLOG, shutdown_timeout=math.ceil(grace), timeout=keep_alive
        )
        self.requests = Pool(self, threads + _SPARE)
        self.max_body, self.read_timeout = max_body, read_timeout
        self.max_request_header_size = MAX_HEAD
        # The library keeps 10 idle connections and closes the others after each answer; a proxy in front of us keeps more.
        self.keep_alive_conn_limit = None
        self.ConnectionClass = _connection

    def prepare(self) -> None:
        """Listens. Raises ``OSError``."""
        super().prepare()
        self._connections._selector.close()  # noqa: SLF001 the library has no other way to bring one's own
        self._connections: Any = _Connections(self)

    def process_conn(self, conn: Connection) -> None:
        """cheroot: there is something to read from a connection, or it is new."""
        state = conn.gather()
        if state is WHOLE:
            super().process_conn(conn)
        elif state is PARTIAL:
            self._connections.wait(conn)
        else:
            conn.close()

    def drain(self) -> None:
        """Waits for the requests that have begun to arrive."""
        end = time.monotonic() + self.read_timeout
        while self._connections.partial and time.monotonic() < end:
            time.sleep(0.02)

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        """cheroot: something to log."""
        _log.log(level, msg.split("\n")[0], exc_info=traceback)


def _connection(server: Server, sock: Any, _: Any) -> Connection:
    made = Connection(server, sock)
    made.RequestHandlerClass = _Request
    return made


class _Connections(connections.ConnectionManager):  # type: ignore[misc]
    @property
    def partial(self) -> bool:
        """Whether a request has begun to arrive on any connection."""
        return any(conn.began is not None for _, conn in list(self._selector.connections) if conn is not self.server)

    def wait(self, conn: Connection) -> None:
        """Looks at the connection again when there is more to read."""
        conn.last_used = conn.last_used or time.time()
        self._selector.register(conn.socket.fileno(), connections.selectors.EVENT_READ, data=conn)

    def _expire(self, threshold: float) -> None:
        late = time.monotonic() - self.server.read_timeout
        for number, conn in list(self._selector.connections):
            if conn is not self.server and (conn.began < late if conn.began is not None else conn.last_used < threshold):
                self._selector.unregister(number)
                if conn.began is not None:
                    conn.say_late()
                conn.close()


class _Headers(HeaderReader):  # type: ignore[misc]
    def _allow_header(self, key_name: bytes) -> bool:
        # Expect is answered while the request is gathered; WSGI cannot tell X_Y from X-Y, so nobody may send the former.
        return key_name != b"Expect" and b"_" not in key_name


class _Chunks(ChunkedRFile):  # type: ignore[misc]
    buffer: bytes

    def readline(self, size: int | None = None) -> bytes:
        """The library's own never ends where a line does."""
        while (end := self.buffer.find(b"\n") + 1) == 0 and not self.closed and (size is None or len(self.buffer) < size):
            self._fetch()
        end = end or len(self.buffer)
        end = end if size is None else min(end, size)
        line: bytes = self.buffer[:end]
        self.buffer = self.buffer[end:]
        return line


class _Request(HTTPRequest):  # type: ignore[misc]
    header_reader = _Headers()

    def read_request_headers(self) -> bool:
        if not super().read_request_headers():
            return False
        length = self.inheaders.get(b"Content-Length")
        if length is not None and not _DIGITS.fullmatch(length):
            self.simple_response("400 Bad Request", "Content-Length must be a number of bytes")
        elif self.conn.malformed:
            self.simple_response(
                "400 Bad Request", "the chunked body cannot be read: a chunk's size is no hexadecimal number, or wrong"
            )
        elif length is not None and b"Transfer-Encoding" in self.inheaders:
            self.simple_response("400 Bad Request", "Content-Length and Transfer-Encoding are both there; send one of them")
        elif self.request_protocol == b"HTTP/1.1" and b"Host" not in self.inheaders:
            self.simple_response("400 Bad Request", "HTTP/1.1 needs a Host header")
        else:
            return True
        return False

    def respond(self) -> None:
        if self.chunked_read:
            self.rfile = _Chunks(self.conn.rfile, 0)
            self.server.gateway(self).respond()
            self.ensure_headers_sent()
            if self.chunked_write:
                self.conn.wfile.write(b"0\r\n\r\n")
        else:
            super().respond()
        self.conn.wfile.flush()

    def simple_response(self, status: str, msg: str = "") -> None:
        """cheroot: an error that the application does not hear of."""
        self.close_connection = True
        code = HTTPStatus(int(str(status)[:3]))
        if code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            code = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        with suppress(OSError):
            self.conn.wfile.write(problem_bytes(code, msg or code.phrase))

    def send_headers(self) -> None:
        # The rest of a stream is not to be read away before its first answer is sent; and what the application left of a
        # chunked body, or what was dropped, must not be taken for the next request.
        streams = self.conn.ahead.streams and self.conn.ahead.deadline is None
        unread = self.chunked_read and not getattr(self.rfile, "closed", False)
        late = self.status[:3] in (b"408", b"413")
        self.close_connection = self.close_connection or streams or unread or late or self.conn.lossy
        self.outheaders.append((b"Date", _date(int(time.time()))))
        self.conn.wfile.held = True
        super().send_headers()


@lru_cache(maxsize=1)
def _date(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode()
