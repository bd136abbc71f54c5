"""A client of raw bytes, which tells what it saw of an exchange."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.function.http.table import Row, Step, Wait

#: How long `Wait.ANSWER` waits.
_ANSWER_S = 1.0


@dataclass(frozen=True)
class RawResponse:
    """One answer: its head's lines as they came, its body without chunking, and whether that has ended as HTTP says."""

    status: int
    headers: dict[str, str]
    head: str
    body: bytes
    complete: bool

    @property
    def text(self) -> str:
        """Head and body."""
        return self.head + "\r\n\r\n" + self.body.decode("latin-1")

    @property
    def id(self) -> str:
        """The request's id."""
        return self.headers.get("x-request-id", "")


@dataclass
class Exchange:
    """A connection over which a row is played."""

    host: str
    port: int
    received: bytearray = field(default_factory=bytearray, repr=False)
    closed: bool = False
    seconds: float = 0.0
    to_head: bool = False

    def play(self, row: Row, limit: float) -> Exchange:
        """Sends the row's steps and reads until the connection ends, the last request is answered, or ``limit`` seconds are over."""
        self.to_head = row.to_head
        with socket.create_connection((self.host, self.port), timeout=10) as self._socket:
            self._began = time.monotonic()
            for step, after in zip(row.sent, (*row.sent[1:], None), strict=True):
                if self.closed:
                    break
                self._do(step, socket.MSG_MORE if after is Wait.HALF_CLOSE else 0)
            self._read(self._began + limit, lambda: "next" in [answer.id for answer in self.answers if answer.complete])
        return self

    def _do(self, step: Step, flags: int) -> None:
        """One step; with MSG_MORE its bytes and the end of this side leave in one segment, so that nobody reads the one without the other."""
        if isinstance(step, bytes):
            # A server that has refused the request may have closed the connection by now: its answer is there to be read.
            with contextlib.suppress(ConnectionError):
                self._socket.sendall(step, flags)
        elif isinstance(step, float):
            self._read(time.monotonic() + step)
        elif step is Wait.ANSWER:
            count = len(self.answers)
            self._read(time.monotonic() + _ANSWER_S, lambda: len(self.answers) > count)
        else:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_WR)

    def _read(self, end: float, done: Callable[[], bool] = lambda: False) -> None:
        while not self.closed and not done() and (left := end - time.monotonic()) > 0:
            if not select.select([self._socket], [], [], left)[0]:
                return
            data = b""
            with contextlib.suppress(ConnectionError):
                data = self._socket.recv(1 << 16)
            self.closed = not data
            if data:
                self.received += data
                self.seconds = time.monotonic() - self._began

    @property
    def answers(self) -> list[RawResponse]:
        """What has come so far."""
        return parse(bytes(self.received), to_head=self.to_head)

    @property
    def outcome(self) -> str:
        """What was seen, in the words of a row."""
        answers = [answer for answer in self.answers if answer.id != "next"]
        followed = len(answers) < len(self.answers)
        words = [f"{answer.status}" if answer.complete else f"{answer.status}-cut" for answer in answers]
        return " ".join([*words, "go" if followed else "end" if self.closed else "open"])

    def __str__(self) -> str:
        return f"{self.outcome} after {self.seconds:.1f} s: {bytes(self.received)!r}"


def parse(data: bytes, *, to_head: bool = False) -> list[RawResponse]:
    """The answers that ``data`` holds, the first perhaps to HEAD; the last may be incomplete."""
    answers: list[RawResponse] = []
    while data:
        head, separator, rest = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        words = lines[0].split(" ")
        if not separator or not words[0].startswith("HTTP/1.") or not words[1].isdigit():
            # No status line: bytes that nobody can frame are shown as an answer of their own.
            return [*answers, RawResponse(0, {}, data.decode("latin-1"), b"", complete=False)]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        bodiless = to_head and not answers
        body, complete, data = (b"", True, rest) if bodiless else _body(int(words[1]), headers, rest)
        answers.append(RawResponse(int(words[1]), headers, "\r\n".join(lines), body, complete))
    return answers


def _body(status: int, headers: dict[str, str], data: bytes) -> tuple[bytes, bool, bytes]:
    """A body, whether it is complete, and what comes after it."""
    if status < 200 or status in (204, 304):
        return b"", True, data
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return _chunks(data)
    if "content-length" in headers:
        length = int(headers["content-length"])
        return data[:length], len(data) >= length, data[length:]
    return data, True, b""


def _chunks(data: bytes) -> tuple[bytes, bool, bytes]:
    body = b""
    while True:
        line, separator, rest = data.partition(b"\r\n")
        if not separator:
            return body, False, b""
        size = int(line, 16)
        if len(rest) < size + 2:
            return body + rest[:size], False, b""
        if not size:
            return body, True, rest[2:]
        body += rest[:size]
        data = rest[size + 2 :]
