"""The production HTTP server: cheroot, with requests gathered before they take a thread.

cheroot parses and answers, a thread for each request. A client that sends a byte a second would hold one of these threads; so
what arrives is first gathered here, by the one thread that also accepts, and a request is handed on when it is whole. Only
streams of lines are handed on when their head is.
"""

from __future__ import annotations

import _pyio
import json
import logging
import math
import re
import socket
import time
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from cheroot import connections
from cheroot.makefile import MakeFile, StreamReader
from cheroot.server import ChunkedRFile, HeaderReader, HTTPConnection, HTTPRequest
from cheroot.wsgi import Server as WsgiServer

from function.problems import Problem

_log = logging.getLogger("function.server")

#: Connections that may wait to be accepted: a burst of clients is queued, not refused.
_BACKLOG = 1024
_MAX_HEAD = 32 << 10
_PART = 1 << 16
#: Bytes of a body too large that are read and dropped, so that the client reads its answer and not a reset.
_MAX_DROPPED = 64 << 20
#: Threads beyond the requests that are answered at the same time: for refusals and for health.
_SPARE = 8
_LINES = re.compile(rb"\r\ncontent-type:[ \t]*application/(x-ndjson|ndjson|jsonl|x-jsonlines)\b")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,18})[ \t]*\r\n")
_DIGITS = re.compile(rb"\d{1,18}")
_CHUNK = re.compile(rb"([0-9a-fA-F]{1,8})[ \t]*(;[^\r\n]*)?\r\n")
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked[ \t]*\r\n")
_MAX_CHUNK_HEAD = 1024
_END = b"\r\n\r\n"


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
            bind, app, numthreads=threads + _SPARE, server_name="function", request_queue_size=_BACKLOG,
            shutdown_timeout=math.ceil(grace), timeout=keep_alive,
        )  # fmt: skip
        self.max_body, self.read_timeout = max_body, read_timeout
        self.max_request_header_size = _MAX_HEAD
        # The library keeps 10 idle connections and closes the others after each answer; a proxy in front of us keeps more.
        self.keep_alive_conn_limit = 1 << 20
        self.ConnectionClass = _Connection

    def prepare(self) -> None:
        """Listens. Raises ``OSError``."""
        super().prepare()
        self._connections._selector.close()  # noqa: SLF001 the library has no other way to bring one's own
        self._connections: Any = _Connections(self)

    def process_conn(self, conn: _Connection) -> None:
        """cheroot: there is something to read from a connection, or it is new."""
        state = conn.gather()
        if state is _WHOLE:
            super().process_conn(conn)
        elif state is _PARTIAL:
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


_WHOLE, _PARTIAL, _GONE = object(), object(), object()


class _Connections(connections.ConnectionManager):  # type: ignore[misc]
    @property
    def partial(self) -> bool:
        """Whether a request has begun to arrive on any connection."""
        return any(conn.began is not None for _, conn in list(self._selector.connections) if conn is not self.server)

    def wait(self, conn: _Connection) -> None:
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


class _Ahead(socket.SocketIO):
    """A socket's bytes, after those that were gathered; no more than these unless it ``streams``."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock, "rb")
        self.sock = sock
        self.bytes = bytearray()
        self.streams = False
        self.deadline: float | None = None

    def readinto(self, buffer: Any) -> int | None:
        if self.bytes:
            count = min(len(buffer), len(self.bytes))
            buffer[:count] = self.bytes[:count]
            del self.bytes[:count]
            return count
        if not self.streams:
            return 0
        if self.deadline is not None:
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            self.sock.settimeout(left)
        return super().readinto(buffer)


class _Reader(StreamReader):  # type: ignore[misc]
    def __init__(self, ahead: _Ahead, size: int) -> None:
        _pyio.BufferedReader.__init__(self, ahead, size)
        self.bytes_read = 0
        self.ahead = ahead

    def has_data(self) -> bool:
        return bool(super().has_data() or self.ahead.bytes)

    def reclaim(self) -> None:
        """Puts what was read and not used back in front of what was gathered."""
        if super().has_data():
            self.ahead.bytes[:0] = self._read_buf[self._read_pos :]
            self._reset_read_buf()


class _Connection(HTTPConnection):  # type: ignore[misc]
    def __init__(self, server: Server, sock: socket.socket, makefile: Any = MakeFile) -> None:
        self.ahead = _Ahead(sock)

        def make(sock: socket.socket, mode: str, size: int) -> Any:
            return _Reader(self.ahead, size) if "r" in mode else makefile(sock, mode, size)

        super().__init__(server, sock, make)
        self.RequestHandlerClass = _Request
        self.began: float | None = None
        self.malformed = self.lossy = False
        self._dropped = 0
        self._chunk = 0
        self._continued = False

    def gather(self) -> object:
        """Reads what has arrived, without waiting: the request is whole, or not yet, or the client is gone."""
        self.rfile.reclaim()
        ahead = self.ahead
        ahead.streams, ahead.deadline = False, None
        over = False
        self.socket.settimeout(0)
        try:
            while not self._is_whole():
                part = self.socket.recv(_PART)
                over = not part
                if over:
                    break
                self.began = self.began or time.monotonic()
                self._keep(part)
            else:
                return self._ready()
        except BlockingIOError:
            return _PARTIAL
        except OSError:
            return _GONE
        finally:
            self.socket.settimeout(self.server.read_timeout)
        return self._ready() if ahead.bytes else _GONE

    def _ready(self) -> object:
        if self.ahead.streams and not _LINES.search(bytes(self.ahead.bytes[:_MAX_HEAD]).lower()):
            self.ahead.deadline = (self.began or time.monotonic()) + self.server.read_timeout
        self.lossy = self._dropped > 0
        self.began, self._dropped, self._chunk, self._continued = None, 0, 0, False
        return _WHOLE

    def _keep(self, part: bytes) -> None:
        """Keeps the bytes, but for those of a body that is too large anyway."""
        room = _MAX_HEAD + self.server.max_body + 2 * _PART - len(self.ahead.bytes)
        self.ahead.bytes += part[: max(0, room)]
        self._dropped += max(0, len(part) - max(0, room))

    def _is_whole(self) -> bool:
        held = self.ahead.bytes
        end = held.find(_END, 0, _MAX_HEAD + len(_END))
        if end < 0:
            return len(held) > _MAX_HEAD
        head = bytes(held[: end + 2]).lower()
        if _LINES.search(head):
            self.ahead.streams = True
            return True
        if b"\r\nexpect: 100-continue\r\n" in head and not self._continued:
            self._continued = True
            with suppress(OSError):
                self.socket.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        if b"\r\ntransfer-encoding:" in head:
            return not _CHUNKED.search(head) or self._chunks_are_whole(end + len(_END))
        length = _LENGTH.search(head)
        return len(held) + self._dropped >= end + len(_END) + int(length[1] if length else 0) or self._dropped > _MAX_DROPPED

    def _chunks_are_whole(self, start: int) -> bool:
        """Walks from chunk to chunk. Source: RFC 9112, 7.1."""
        held = self.ahead.bytes
        at = self._chunk = max(self._chunk, start)
        while chunk := _CHUNK.match(held, at):
            after = chunk.end() + int(chunk[1], 16) + 2
            if after == chunk.end() + 2:
                return self._without_trailers(chunk.end())
            if after > len(held):
                break
            self.malformed = self.malformed or held[after - 2 : after] != b"\r\n"
            at = self._chunk = after
        else:
            self.malformed = (
                self.malformed or held.find(b"\r\n", at, at + _MAX_CHUNK_HEAD) >= 0 or len(held) > at + _MAX_CHUNK_HEAD
            )
        # More than any body may have: whoever reads it will stop, and say so.
        self.ahead.streams = len(held) > start + self.server.max_body + _PART
        return self.malformed or self.ahead.streams

    def _without_trailers(self, at: int) -> bool:
        """Takes the trailers away, which cheroot would take for the next request; whether their end has come."""
        end = self.ahead.bytes.find(_END, at - 2)
        if end >= at:
            del self.ahead.bytes[at : end + 2]
        return end >= 0

    def say_late(self) -> None:
        """Tells a client whose request did not arrive in time."""
        detail = f"the request did not arrive within {self.server.read_timeout:g} s (READ_TIMEOUT_S)"
        with suppress(OSError):
            self.socket.settimeout(0)
            self.socket.send(_answer(HTTPStatus.REQUEST_TIMEOUT, detail))


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
        if not self.chunked_read:
            super().respond()
            return
        self.rfile = _Chunks(self.conn.rfile, 0)
        self.server.gateway(self).respond()
        self.ensure_headers_sent()
        if self.chunked_write:
            self.conn.wfile.write(b"0\r\n\r\n")

    def simple_response(self, status: str, msg: str = "") -> None:
        """cheroot: an error that the application does not hear of."""
        self.close_connection = True
        code = HTTPStatus(int(str(status)[:3]))
        if code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            code = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        with suppress(OSError):
            self.conn.wfile.write(_answer(code, msg or code.phrase))

    def send_headers(self) -> None:
        # The rest of a stream is not to be read away before its first answer is sent; and what the application left of a
        # chunked body, or what was dropped, must not be taken for the next request.
        streams = self.conn.ahead.streams and self.conn.ahead.deadline is None
        unread = self.chunked_read and not getattr(self.rfile, "closed", False)
        late = self.status[:3] in (b"408", b"413")
        self.close_connection = self.close_connection or streams or unread or late or self.conn.lossy
        super().send_headers()


def _answer(status: HTTPStatus, detail: str) -> bytes:
    body = json.dumps(Problem(status, detail).body()).encode()
    head = (
        f"HTTP/1.1 {int(status)} {status.phrase}\r\nContent-Type: application/problem+json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
