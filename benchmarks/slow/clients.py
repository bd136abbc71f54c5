"""The process that runs the slow clients: one thread, raw sockets, epoll, since it shares the cores
with what is measured.

``python -m benchmarks.slow.clients`` reads a `SlowJob` from standard input, and prints its counts
when that ends.
"""

from __future__ import annotations

import contextlib
import errno
import heapq
import json
import select
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field

from benchmarks.slow import scripts
from benchmarks.slow.scripts import Script
from loadkit.processes import ROOT, raise_file_limit

KINDS = {"dripping": scripts.dripping, "deaf": scripts.deaf, "idle": scripts.idle, "begun": scripts.begun}
#: Seconds between two turns of the loop, which serves all clients that are due: a wake-up for each
#: byte would cost more.
_TICK_S = 0.01
#: The receive buffer of a client that reads nothing.
_DEAF_BUFFER = 4096


@dataclass(frozen=True)
class SlowJob:
    """``count`` clients of a kind, which connect ``over`` some seconds; each sends a byte every
    ``pause`` seconds.
    """

    port: int
    kind: str
    count: int
    over: float
    pause: float = 1.0


@dataclass
class SlowCounts:
    """What the clients saw; ``answers``: connections by the first status, or by how they ended
    without one.
    """

    answers: Counter[str] = field(default_factory=Counter)
    connections: int = 0
    sent: int = 0
    cpu: float = 0.0
    seconds: float = 0.0

    def add(self, other: SlowCounts) -> None:
        """Adds the counts of another process."""
        self.answers += other.answers
        self.connections += other.connections
        self.sent += other.sent
        self.cpu += other.cpu
        self.seconds += other.seconds


class _SlowClient:
    __slots__ = ("at", "script", "sock", "status", "waiting")

    def __init__(self, script: Script) -> None:
        self.script = script
        self.sock: socket.socket | None = None
        self.at, self.waiting, self.status = 0, script.first, ""


class SlowClients:
    """The clients of a job. One that the server has answered or disconnected connects again."""

    def __init__(self, job: SlowJob, kinds: Sequence[Script]) -> None:
        self._port, self._pause = job.port, job.pause
        self._epoll = select.epoll()
        self._open: dict[int, _SlowClient] = {}
        self.seen = SlowCounts()
        clients = (_SlowClient(kinds[number % len(kinds)]) for number in range(job.count))
        now = time.perf_counter()
        #: When each client is due; the number decides between clients that are due at the same
        #: time.
        self._due = [(now + number * job.over / job.count, number, client) for number, client in enumerate(clients)]
        self._number = job.count

    def tick(self) -> None:
        """Lets the clients that are due send, and reads what the server has sent to those that
        read.
        """
        now = time.perf_counter()
        while self._due and self._due[0][0] <= now:
            due, _, client = heapq.heappop(self._due)
            if client.sock is None:
                self._connect(client)
            if client.sock is not None and not self._send(client):
                self._end(client)
            if client.sock is None or client.at < len(client.script.rest):
                self._later(client, due)
        for number, events in self._epoll.poll(0):
            self._ready(self._open[number], events)

    def close(self) -> None:
        """Closes every connection."""
        for client in self._open.values():
            if client.sock:
                client.sock.close()
        self._epoll.close()

    def _later(self, client: _SlowClient, due: float) -> None:
        self._number += 1
        heapq.heappush(self._due, (max(due, time.perf_counter() - self._pause) + self._pause, self._number, client))

    def _connect(self, client: _SlowClient) -> None:
        sock = socket.socket()
        sock.setblocking(False)
        if client.script.over_and_over:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _DEAF_BUFFER)
        if sock.connect_ex(("127.0.0.1", self._port)) not in (0, errno.EINPROGRESS):
            sock.close()
            self.seen.answers["no connection"] += 1
            return
        client.sock, client.at, client.waiting, client.status = sock, 0, client.script.first, ""
        self.seen.connections += 1
        self._open[sock.fileno()] = client
        self._epoll.register(sock.fileno(), select.EPOLLOUT if client.script.over_and_over else select.EPOLLIN)

    def _send(self, client: _SlowClient) -> bool:
        """Sends what is due; False where the connection has ended."""
        assert client.sock
        dripped = not client.waiting
        data = client.waiting or client.script.rest[client.at : client.at + 1]
        try:
            sent = client.sock.send(data) if data else 0
        except (BlockingIOError, InterruptedError):
            return True
        except OSError:
            return False
        self.seen.sent += sent
        if dripped:
            client.at += sent
        else:
            client.waiting = data[sent:] or client.script.over_and_over
        return True

    def _ready(self, client: _SlowClient, events: int) -> None:
        assert client.sock
        if client.script.over_and_over:
            if events & (select.EPOLLERR | select.EPOLLHUP) or not self._send(client):
                self._end(client)
                self._later(client, time.perf_counter())
            return
        try:
            data = client.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        client.status = client.status or data[9:12].decode("latin-1")
        if not data:
            self._end(client)
            if client.at == len(client.script.rest):
                self._later(client, time.perf_counter())

    def _end(self, client: _SlowClient) -> None:
        assert client.sock
        self.seen.answers[client.status or "closed"] += 1
        self._epoll.unregister(client.sock.fileno())
        del self._open[client.sock.fileno()]
        client.sock.close()
        client.sock = None


@contextlib.contextmanager
def beside(job: SlowJob, seen: SlowCounts) -> Iterator[int]:
    """Runs the clients in a process of their own during the block, and yields its id.

    Their counts are added to ``seen``.
    """
    command = [sys.executable, "-m", "benchmarks.slow.clients"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        try:
            process.stdin.write(json.dumps(asdict(job)) + "\n")
            process.stdin.flush()
            yield process.pid
        finally:
            out, _ = process.communicate()
    counts = json.loads(out)
    seen.add(SlowCounts(**{**counts, "answers": Counter(counts["answers"])}))


def main() -> None:
    """Runs a job until standard input ends."""
    raise_file_limit()
    job = SlowJob(**json.loads(sys.stdin.readline()))
    clients = SlowClients(job, KINDS[job.kind]())
    before, began = time.process_time(), time.perf_counter()
    while not select.select([sys.stdin], [], [], _TICK_S)[0]:
        clients.tick()
    clients.seen.cpu, clients.seen.seconds = time.process_time() - before, time.perf_counter() - began
    clients.close()
    print(json.dumps(vars(clients.seen)))


if __name__ == "__main__":
    main()
