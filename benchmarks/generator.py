"""The load generator: one thread, raw sockets, epoll, since it shares the cores with what it
measures.

In a closed loop each client sends its next request after a response. An open loop sends at given
times, however late responses are; a request that finds no idle connection waits for one, and its
latency counts from when it should have been sent.
"""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from dataclasses import dataclass

#: The statuses of an overloaded server, and how many seconds a closed loop's client waits after
#: one.
REFUSED = (429, 503)
_PAUSE_S = 0.1
#: Seconds for which responses are still read after the end.
_GRACE_S = 30.0


@dataclass(frozen=True, slots=True)
class TimedResponse:
    """A request's times in seconds since the start; ``status`` is 0 without a complete and right
    response; ``kind``: the request's.
    """

    intended: float
    sent: float
    done: float
    status: int
    kind: int

    @property
    def latency(self) -> float:
        """Since the request should have been sent, so that waiting for a busy generator or a full
        server counts.
        """
        return self.done - self.intended


class _LoadConnection:
    __slots__ = ("address", "intended", "kind", "needed", "received", "sent", "sock", "status", "waiting")

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.sock = socket.create_connection(address)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        self.received, self.needed, self.waiting = b"", 0, False
        self.intended = self.sent = 0.0
        self.kind = self.status = 0


class Generator:
    """Sends ``requests``, whole HTTP messages with their kinds, in turn over ``connections`` to the
    ports.

    A right response contains ``expect``; ``answers`` has a record for each request.
    """

    def __init__(self, ports: list[int], requests: list[tuple[bytes, int]], expect: bytes, connections: int) -> None:
        self._requests, self._expect = requests, expect
        self._epoll = select.epoll()
        self._open: dict[int, _LoadConnection] = {}
        self._idle: deque[_LoadConnection] = deque()
        self._next = 0
        self.answers: list[TimedResponse] = []
        for number in range(connections):
            self._add(("127.0.0.1", ports[number % len(ports)]))

    def closed(self, seconds: float) -> None:
        """Runs a closed loop in which every connection is a client."""
        self._began = time.perf_counter()
        paused: deque[tuple[float, _LoadConnection]] = deque()
        while self._now() < seconds:
            while self._idle and self._now() < seconds:
                self._send(self._idle.popleft(), self._now())
            while paused and paused[0][0] <= self._now():
                self._idle.append(paused.popleft()[1])
            for connection in self._receive(0.02 if paused else 0.5):
                if connection.status in (0, *REFUSED):
                    self._idle.remove(connection)
                    paused.append((self._now() + _PAUSE_S, connection))
        self._finish()

    def open(self, times: list[float]) -> None:
        """Runs an open loop that sends at these times, in seconds since the start."""
        self._began = time.perf_counter()
        due: deque[float] = deque()
        index = 0
        while index < len(times) or due:
            now = self._now()
            while index < len(times) and times[index] <= now:
                due.append(times[index])
                index += 1
            while due and self._idle:
                self._send(self._idle.popleft(), due.popleft())
            if due and now > times[-1] + _GRACE_S:
                break
            for _ in self._receive(max(0.0, times[index] - self._now()) if index < len(times) else 0.5):
                pass
        self.answers += [TimedResponse(intended, self._now(), self._now(), 0, 0) for intended in due]
        self._finish()

    def _now(self) -> float:
        return time.perf_counter() - self._began

    def _finish(self) -> None:
        end = time.perf_counter() + _GRACE_S
        while any(connection.waiting for connection in self._open.values()) and time.perf_counter() < end:
            for _ in self._receive(0.5):
                pass
        for connection in self._open.values():
            if connection.waiting:
                self._answered(connection, 0)
            connection.sock.close()

    def _add(self, address: tuple[str, int]) -> _LoadConnection:
        connection = _LoadConnection(address)
        self._open[connection.sock.fileno()] = connection
        self._epoll.register(connection.sock.fileno(), select.EPOLLIN)
        self._idle.append(connection)
        return connection

    def _send(self, connection: _LoadConnection, intended: float) -> None:
        data, connection.kind = self._requests[self._next % len(self._requests)]
        self._next += 1
        connection.intended, connection.sent, connection.waiting = intended, self._now(), True
        try:
            sent_all = connection.sock.send(data) == len(data)
        except OSError:
            sent_all = False
        if not sent_all:
            self._replace(connection)

    def _receive(self, timeout: float) -> list[_LoadConnection]:
        """Reads what has arrived, and returns the connections that are idle again.

        ``select`` waits, since the timeout of epoll is in whole milliseconds.
        """
        select.select([self._epoll], [], [], timeout)
        done = []
        for number, _ in self._epoll.poll(0):
            connection = self._open[number]
            try:
                data = connection.sock.recv(65536)
            except OSError:
                data = b""
            if not data:
                self._replace(connection)
            elif self._complete(connection, data):
                self._idle.append(connection)
                done.append(connection)
        return done

    def _complete(self, connection: _LoadConnection, data: bytes) -> bool:
        connection.received += data
        if not connection.needed:
            head = connection.received.find(b"\r\n\r\n")
            if head < 0:
                return False
            length = connection.received[:head].lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0]
            connection.needed = head + 4 + int(length)
        if len(connection.received) < connection.needed:
            return False
        status = int(connection.received[9:12])
        self._answered(connection, status if status != 200 or self._expect in connection.received else 0)
        return True

    def _answered(self, connection: _LoadConnection, status: int) -> None:
        self.answers.append(TimedResponse(connection.intended, connection.sent, self._now(), status, connection.kind))
        connection.received, connection.needed, connection.waiting, connection.status = b"", 0, False, status

    def _replace(self, connection: _LoadConnection) -> None:
        """Replaces a connection that the server has closed; a pending request on it has failed."""
        if connection.waiting:
            self._answered(connection, 0)
        if connection in self._idle:
            self._idle.remove(connection)
        self._epoll.unregister(connection.sock.fileno())
        del self._open[connection.sock.fileno()]
        connection.sock.close()
        self._add(connection.address)
