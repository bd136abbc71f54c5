"""Clients that read an answer slowly, or not at all. The function may not keep such an answer for them for ever."""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from collections.abc import Iterator

import pytest

from tests.function.http.client import parse
from tests.support.runtimes import start
from tests.support.servers import ServerProcess

#: Answers of 29 kB each, more than the buffers of both sides hold together.
_MANY = 150
_REQUEST = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
_CLOSES = _REQUEST.replace(b"Host", b"Connection: close\r\nHost")
_WRITE_S = 3


@pytest.fixture(scope="module")
def server(agent: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The function with a short WRITE_TIMEOUT_S."""
    server = start("server", tmp_path_factory.mktemp("slow"), agent.addresses["unix"], WRITE_TIMEOUT_S=str(_WRITE_S))
    yield server
    assert server.stop(signal.SIGTERM) == 0, server.text
    assert "Traceback" not in server.text


@contextlib.contextmanager
def _asked(server: ServerProcess, requests: bytes) -> Iterator[socket.socket]:
    """A client whose system takes little for it that it does not read."""
    host, port = server.addresses["http"].removeprefix("http://").split(":")
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(20)
        client.connect((host, int(port)))
        client.sendall(requests)
        yield client


def _rest(client: socket.socket) -> bytes:
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while data := client.recv(1 << 20):
            received += data
    return received


@pytest.mark.parametrize("count", [1, _MANY])
def test_who_reads_a_byte_at_a_time_is_not_cut_off(server: ServerProcess, count: int) -> None:
    """For longer than WRITE_TIMEOUT_S; then the rest is read, and every answer is whole."""
    with _asked(server, _REQUEST * (count - 1) + _CLOSES) as client:
        received = b""
        end = time.monotonic() + 2.5 * _WRITE_S
        while time.monotonic() < end:
            received += client.recv(1)
            time.sleep(0.0003)
        received += _rest(client)
    assert [(answer.status, answer.complete) for answer in parse(received)] == [(200, True)] * count


def test_who_takes_nothing_is_cut_off(server: ServerProcess) -> None:
    """After WRITE_TIMEOUT_S the connection ends in the middle of the answers."""
    with _asked(server, _REQUEST * (_MANY - 1) + _CLOSES) as client:
        time.sleep(_WRITE_S + 2.5)
        answers = parse(_rest(client))
    assert 0 < len(answers) < _MANY
