"""Requests are gathered before they take a thread: bytes of a connection, until what they hold is whole."""

from __future__ import annotations

import json
import re
import socket
import sys
import time
from contextlib import suppress
from http import HTTPStatus
from typing import Any

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


class _Ahead:
    """A connection's bytes as the file that cheroot reads: those that were gathered, and no more unless it ``streams``."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.bytes = bytearray()
        self.streams = False
        self.deadline: float | None = None
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        """So many bytes, or those up to the end."""
        while (size < 0 or len(self.bytes) < size) and self._receive():
            pass
        return self._take(len(self.bytes) if size < 0 else size)

    def readline(self, size: int = -1) -> bytes:
        """A line, or so many bytes of it."""
        most = size if size >= 0 else sys.maxsize
        seen = 0
        while (end := self.bytes.find(b"\n", seen, most) + 1) == 0 and len(self.bytes) < most:
            seen = len(self.bytes)
            if not self._receive():
                break
        return self._take(end or most)

    def has_data(self) -> bool:
        """cheroot: whether there is something that need not be waited for."""
        return bool(self.bytes)

    def close(self) -> None:
        """cheroot: nobody reads any more."""
        self.closed = True

    def _take(self, count: int) -> bytes:
        taken = bytes(self.bytes[:count])
        del self.bytes[:count]
        return taken

    def _receive(self) -> bool:
        """Waits for more, where it streams; whether there was more."""
        if not self.streams:
            return False
        if self.deadline is not None:
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            self._sock.settimeout(left)
        part = self._sock.recv(_PART)
        self.bytes += part
        return bool(part)


class _Out:
    """Where cheroot writes an answer to. A head that is ``held`` goes out with what follows it, in one packet."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._held = b""
        self.held = False

    def write(self, data: bytes) -> None:
        """Sends it, in as many parts as the socket takes."""
        if self.held:
            self._held, self.held = data, False
            return
        view = memoryview(self._held + data if self._held else data)
        self._held = b""
        while view:
            view = view[self._sock.send(view) :]

    def flush(self) -> None:
        """Sends a head that nothing followed."""
        if self._held:
            self.write(b"")


class Connection(HTTPConnection):  # type: ignore[misc]
    """A client's connection. ``began``: when the request that is being gathered began (monotonic seconds), or None.

    ``malformed``: the chunks cannot be read; ``lossy``: bytes were dropped, so nothing may follow on the connection.
    """

    def __init__(self, server: Any, sock: socket.socket, _: Any = None) -> None:
        self.ahead = _Ahead(sock)
        super().__init__(server, sock, lambda _, mode, size: self.ahead if "r" in mode else _Out(sock))  # noqa: ARG005
        self.began: float | None = None
        self.malformed = self.lossy = False
        self._dropped = 0
        self._chunk = 0
        self._continued = False

    def gather(self) -> object:
        """Reads what has arrived, without waiting: the request is whole, or not yet, or the client is gone."""
        ahead = self.ahead
        ahead.streams, ahead.deadline = False, None
        self.socket.settimeout(0)
        try:
            while not self._is_whole():
                part = self.socket.recv(_PART)
                if not part:
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
        if self.ahead.streams and not _LINES.search(self.ahead.bytes[:MAX_HEAD].lower()):
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
        head = held[: end + 2].lower()
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
