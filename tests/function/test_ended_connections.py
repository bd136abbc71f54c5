"""What the server keeps of connections that have ended, however they did: nothing."""

from __future__ import annotations

import gc
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from function.server.application import Application, ServerLimits
from function.server.connection import HttpConnection
from function.server.connections import Connections, ConnectionTimeouts
from function.server.listening import listen
from function.server.serving import HttpServer
from function.telemetry.access import Access
from function.web.app import create_app
from tests.support import inprocess

_REQUEST = b"GET /health/liveness HTTP/1.1\r\nHost: x\r\n\r\n"
_UPLOAD = b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\na cup"


@pytest.fixture
def port() -> Iterator[int]:
    """The port of a server in a thread of this process; its limits of time never end a connection."""
    service = inprocess.service()
    access = Access(service)
    listening = threading.Event()
    connections = Connections(ConnectionTimeouts(600, 600, 600), 100, access)
    app = Application(create_app(service, access), ServerLimits(4, 1000, 4000, 600))
    server = HttpServer(app, connections, grace=1, listening=listening.set, ending=lambda: None)
    listener = listen("127.0.0.1", 0)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    assert listening.wait(30)
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join(30)


def closed(client: socket.socket) -> None:
    """Ends a connection with FIN."""


def reset(client: socket.socket) -> None:
    """Ends a connection with RST, as a proxy's time limit or a client's death does."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def cut(client: socket.socket) -> None:
    """Ends it in the middle of a request."""
    client.sendall(_UPLOAD)
    reset(client)


@pytest.mark.parametrize("end", [closed, reset, cut])
def test_an_ended_connection_is_forgotten(port: int, end: Callable[[socket.socket], None]) -> None:
    """Whether its client closes it, resets it while it is idle, or leaves in the middle of a request."""
    for _ in range(10):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
            client.sendall(_REQUEST)
            assert client.recv(4000).startswith(b"HTTP/1.1 200 ")
            end(client)
    end_by = time.monotonic() + 20
    while left := _connections():
        assert time.monotonic() < end_by, f"{left} connections are kept"
        time.sleep(0.05)


def _connections() -> int:
    gc.collect()
    return sum(isinstance(each, HttpConnection) for each in gc.get_objects())
