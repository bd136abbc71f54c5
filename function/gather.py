"""Requests are gathered before they take a thread: bytes of a connection, until what they hold is whole."""

from __future__ import annotations

import _pyio
import json
import re
import socket
import time
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from cheroot.makefile import MakeFile, StreamReader
from cheroot.server import HTTPConnection

from function.problems import Problem

MAX_HEAD = 32 << 10
_PART = 1 << 16
#: Bytes of a body too large that are read and dropped, so that the client reads its answer and not a reset.
_MAX_DROPPED = 64 << 20
_LINES = re.compile(rb"\r\ncontent-type:[ \t]*application/(x-ndjson|ndjson|jsonl|x-jsonlines)\b")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,18})[ \t]*\r\n")
_CHUNK = re.compile(rb"([0-9a-fA-F]{1,8})[ \t]*(;[^\r\n]*)?\r\n")
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked[ \t]*\r\n")
_MAX_CHUNK_HEAD = 1024
_END = b"\r\n\r\n"

#: What gathering finds.
WHOLE, PARTIAL, GONE = object(), object(), object()


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


class Connection(HTTPConnection):  # type: ignore[misc]
    """A client's connection. ``began``: when the request that is being gathered began (monotonic seconds), or None.

    ``malformed``: the chunks cannot be read; ``lossy``: bytes were dropped, so nothing may follow on the connection.
    """

    def __init__(self, server: Any, sock: socket.socket, makefile: Any = MakeFile) -> None:
        self.ahead = _Ahead(sock)

        def make(sock: socket.socket, mode: str, size: int) -> Any:
            return _Reader(self.ahead, size) if "r" in mode else makefile(sock, mode, size)

        super().__init__(server, sock, make)
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
            return PARTIAL
        except OSError:
            return GONE
        finally:
            self.socket.settimeout(self.server.read_timeout)
        return self._ready() if ahead.bytes else GONE

    def _ready(self) -> object:
        if self.ahead.streams and not _LINES.search(bytes(self.ahead.bytes[:MAX_HEAD]).lower()):
            self.ahead.deadline = (self.began or time.monotonic()) + self.server.read_timeout
        self.lossy = self._dropped > 0
        self.began, self._dropped, self._chunk, self._continued = None, 0, 0, False
        return WHOLE

    def _keep(self, part: bytes) -> None:
        """Keeps the bytes, but for those of a body that is too large anyway."""
        room = MAX_HEAD + self.server.max_body + 2 * _PART - len(self.ahead.bytes)
        self.ahead.bytes += part[: max(0, room)]
        self._dropped += max(0, len(part) - max(0, room))

    def _is_whole(self) -> bool:
        held = self.ahead.bytes
        end = held.find(_END, 0, MAX_HEAD + len(_END))
        if end < 0:
            return len(held) > MAX_HEAD
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
            self.socket.send(problem_bytes(HTTPStatus.REQUEST_TIMEOUT, detail))


def problem_bytes(status: HTTPStatus, detail: str) -> bytes:
    """A whole answer that is an error, after which the connection ends."""
    body = json.dumps(Problem(status, detail).body()).encode()
    head = (
        f"HTTP/1.1 {int(status)} {status.phrase}\r\nContent-Type: application/problem+json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
