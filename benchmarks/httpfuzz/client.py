"""The load: many connections in one thread, each with a stream of cases; every wrong response is a
`Failure`.
"""

from __future__ import annotations

import re
import select
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from benchmarks.httpfuzz import responses
from benchmarks.httpfuzz.judge import judged
from benchmarks.httpfuzz.oracle import Tail
from benchmarks.httpfuzz.responses import Garbled
from benchmarks.httpfuzz.streams import Failure, FuzzStream

#: Seconds without a byte after which a client without a response ends its side; one of so many such
#: clients waits for the server's time limit instead; the most streams that wait for their end at
#: the same time.
_QUIET_S, _PATIENT, _PARKED = 0.15, 20, 400
_WAITING = (Tail.PARTIAL, Tail.WAITING)
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


class _FuzzConnection:
    """A connection to the server; ``before``: the stream that it carried last."""

    def __init__(self, place: tuple[str, int]) -> None:
        self.sock = socket.create_connection(place, timeout=5)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        self.before = b""

    def begin(self, stream: FuzzStream, limit: float) -> None:
        self.stream, self.received, self.left, self.sent_end = stream, b"", memoryview(stream.data), False
        self.parked = stream.expectation.tail in _WAITING
        self.last = time.monotonic()
        self.until = self.last + limit

    def send(self) -> None:
        """Sends as much as the socket takes; raises ``OSError``."""
        first = len(self.left) == len(self.stream.data)
        part = self.left[: self.stream.split] if self.stream.split and first else self.left
        self.left = self.left[self.sock.send(part) :]
        if not self.left and self.stream.cut:
            self.end()

    def end(self) -> None:
        """Ends the sending side; raises ``OSError``."""
        self.sent_end = True
        self.sock.shutdown(socket.SHUT_WR)

    def decided(self) -> bool:
        """Whether nothing more has to be waited for: the last response has arrived, or one that
        must not exist.
        """
        wants, tail = self.stream.expectation.responses, self.stream.expectation.tail
        if self.stream.cut or (tail is Tail.OPEN and self.received.count(b"HTTP/1.") < len(wants)):
            return False
        try:
            parsed = responses.read(self.received, [want.method for want in wants])
        except Garbled:
            return False
        if not parsed or not parsed[-1].complete or parsed[-1].closes:
            return False
        # More responses than expected are all waited for, since by a lenient reading all of them
        # may be right.
        return parsed[-1].id == b"canary" or (tail is Tail.OPEN and len(parsed) >= len(wants))


@dataclass
class FuzzClient:
    """Sends streams to a server. ``limit``: seconds after which a connection that should have ended
    is a failure.

    Nothing more is sent after ``max_failures`` or ``seconds``. ``progress`` is called with the
    number of cases that are done.
    """

    port: int
    limit: float
    connections: int = 48
    max_failures: int = 100
    seconds: float = float("inf")
    progress: Callable[[int], None] = lambda _: None
    failures: list[Failure] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)

    def run(self, work: Iterable[FuzzStream]) -> None:
        """Sends every stream and judges its responses."""
        self._epoll = select.epoll()
        self._open: dict[int, _FuzzConnection] = {}
        self._idle: list[_FuzzConnection] = []
        self._parked = 0
        left, more, swept = iter(work), True, time.monotonic()
        end = swept + self.seconds
        while more or self._open:
            while more and len(self._open) - self._parked < self.connections and self._parked < _PARKED:
                stream = next(left, None) if len(self.failures) < self.max_failures and time.monotonic() < end else None
                more = stream is not None
                if stream:
                    self._start(stream)
            for number, events in self._epoll.poll(0.02):
                self._step(self._open[number], events)
            if time.monotonic() > swept + 0.05:
                swept = time.monotonic()
                self._sweep(swept)
        for connection in self._idle:
            connection.sock.close()
        self._epoll.close()

    def _start(self, stream: FuzzStream) -> None:
        connection = self._idle.pop() if self._idle else _FuzzConnection(("127.0.0.1", self.port))
        connection.begin(stream, self.limit)
        self._open[connection.sock.fileno()] = connection
        self._epoll.register(connection.sock.fileno(), select.EPOLLIN | select.EPOLLOUT)
        self._parked += connection.parked

    def _step(self, connection: _FuzzConnection, events: int) -> None:
        if events & select.EPOLLOUT and connection.left:
            try:
                connection.send()
            except OSError:
                connection.left = connection.left[:0]  # The server has closed; what it sent before can still be read.
            if not connection.left:
                self._epoll.modify(connection.sock.fileno(), select.EPOLLIN)
        if events & ~select.EPOLLOUT:
            self._receive(connection)

    def _receive(self, connection: _FuzzConnection) -> None:
        try:
            data = connection.sock.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        connection.received += data
        connection.last = time.monotonic()
        if not data or connection.decided():
            self._done(connection, ended=not data)

    def _sweep(self, now: float) -> None:
        for connection in list(self._open.values()):
            quiet = connection.parked and not connection.left and not connection.sent_end and now > connection.last + _QUIET_S
            if now > connection.until:
                self._done(connection, ended=False)
            elif quiet and connection.stream.first % _PATIENT:
                try:
                    connection.end()
                except OSError:
                    pass  # The next receive sees the server's end.

    def _done(self, connection: _FuzzConnection, *, ended: bool) -> None:
        stream = connection.stream
        self._epoll.unregister(connection.sock.fileno())
        del self._open[connection.sock.fileno()]
        self._parked -= connection.parked
        self.statuses.update(map(int, _STATUS.findall(connection.received)))
        cut = stream.cut or connection.sent_end
        fault, used = judged(stream.data, stream.expectation, connection.received, ended=ended, cut=cut)
        if fault:
            self.failures.append(Failure(stream, fault, connection.received, connection.before))
        if ended or fault or stream.cut or not stream.expectation.clean:
            connection.sock.close()
        else:
            connection.before = stream.data
            self._idle.append(connection)
        self.counts["messages"] += stream.cases
        self.counts[f"connection: {stream.expectation.tail.value}"] += 1
        if used:
            self.counts[f"allowed: {used}"] += 1
        self.progress(self.counts["messages"])
