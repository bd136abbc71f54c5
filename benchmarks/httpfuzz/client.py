"""The load: many connections in one thread, each with a stream of cases; whatever is answered wrongly is a `Failure`."""

from __future__ import annotations

import re
import select
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from benchmarks.httpfuzz import responses as reading
from benchmarks.httpfuzz.judge import judged
from benchmarks.httpfuzz.oracle import Tail
from benchmarks.httpfuzz.responses import Garbled
from benchmarks.httpfuzz.streams import Failure, FuzzStream

#: Seconds without a byte after which a client that is not answered sends its end; one of so many such clients waits for
#: the server's time limit instead; streams that wait for their end at the same time.
_QUIET_S, _PATIENT, _PARKED = 0.15, 20, 400
_WAITING = (Tail.PARTIAL, Tail.WAITING)
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


class _FuzzConnection:
    """A connection to a server; ``before``: the stream that it carried last."""

    def __init__(self, place: tuple[str, int]) -> None:
        self.sock = socket.create_connection(place, timeout=5)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        self.before = b""

    def begin(self, stream: FuzzStream, limit: float) -> None:
        self.stream, self.got, self.left, self.sent_end = stream, b"", memoryview(stream.data), False
        self.parked = stream.verdict.tail in _WAITING
        self.last = time.monotonic()
        self.until = self.last + limit

    def send(self) -> None:
        """As much as goes; raises ``OSError``."""
        first = len(self.left) == len(self.stream.data)
        part = self.left[: self.stream.split] if self.stream.split and first else self.left
        self.left = self.left[self.sock.send(part) :]
        if not self.left and self.stream.cut:
            self.end()

    def end(self) -> None:
        """Says that nothing more is sent; raises ``OSError``."""
        self.sent_end = True
        self.sock.shutdown(socket.SHUT_WR)

    def decided(self) -> bool:
        """Whether more need not be waited for: the last answer is there, or one that must not be there is."""
        wants, tail = self.stream.verdict.wants, self.stream.verdict.tail
        if self.stream.cut or (tail is Tail.OPEN and self.got.count(b"HTTP/1.") < len(wants)):
            return False
        try:
            answers = reading.read(self.got, [want.method for want in wants])
        except Garbled:
            return False
        if not answers or not answers[-1].whole or answers[-1].closes:
            return False
        # Where more is answered than should be, all of it is waited for: by a lenient reading all of it may be right.
        return answers[-1].id == b"canary" or (tail is Tail.OPEN and len(answers) >= len(wants))


@dataclass
class FuzzClient:
    """Sends streams to a server. ``limit``: seconds after which a connection that should have ended is a failure.

    Nothing more is sent after so many failures as ``most``, nor after so many ``seconds``. ``progress`` is told how many cases are done.
    """

    port: int
    limit: float
    connections: int = 48
    most: int = 100
    seconds: float = float("inf")
    progress: Callable[[int], None] = lambda _: None
    failures: list[Failure] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)

    def run(self, work: Iterable[FuzzStream]) -> None:
        """Until every stream is judged."""
        self._epoll = select.epoll()
        self._open: dict[int, _FuzzConnection] = {}
        self._idle: list[_FuzzConnection] = []
        self._parked = 0
        left, more, swept = iter(work), True, time.monotonic()
        end = swept + self.seconds
        while more or self._open:
            while more and len(self._open) - self._parked < self.connections and self._parked < _PARKED:
                stream = next(left, None) if len(self.failures) < self.most and time.monotonic() < end else None
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
                connection.left = connection.left[:0]  # The server has closed; what it said before that can still be read.
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
        connection.got += data
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
                    pass  # The server's end comes with the next look.

    def _done(self, connection: _FuzzConnection, *, ended: bool) -> None:
        stream = connection.stream
        self._epoll.unregister(connection.sock.fileno())
        del self._open[connection.sock.fileno()]
        self._parked -= connection.parked
        self.statuses.update(map(int, _STATUS.findall(connection.got)))
        cut = stream.cut or connection.sent_end
        wrong, used = judged(stream.data, stream.verdict, connection.got, ended=ended, cut=cut)
        if wrong:
            self.failures.append(Failure(stream, wrong, connection.got, connection.before))
        if ended or wrong or stream.cut or not stream.verdict.clean:
            connection.sock.close()
        else:
            connection.before = stream.data
            self._idle.append(connection)
        self.counts["messages"] += stream.cases
        self.counts[f"connection: {stream.verdict.tail.value}"] += 1
        if used:
            self.counts[f"allowed: {used}"] += 1
        self.progress(self.counts["messages"])
