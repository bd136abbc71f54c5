"""Clients that are gone in the middle of a body leave nothing behind: no request in flight, no descriptor, no traceback."""

from __future__ import annotations

import signal
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from tests.function.http.table import CHUNKED, END, FIRST, LINES, POST, chunk
from tests.support.runtimes import start
from tests.support.servers import ServerProcess

#: What they send before they are gone.
_SENT = (
    FIRST * 3 + POST,
    POST + b"Content-Length: 50\r\n\r\nhalf",
    POST + CHUNKED + END + b"20\r\nhalf",
    LINES + chunk(b'{"text": "tea"}\n') + b"20\r\nhalf",
)
_RESET = struct.pack("ii", 1, 0)


def _leave(server: ServerProcess, sent: bytes, *, reset: bool, wait: float) -> None:
    host, port = server.addresses["http"].removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall(sent)
        time.sleep(wait)
        if reset:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


def _until(true: Callable[[], bool], server: ServerProcess) -> None:
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end, server.text
        time.sleep(0.05)


def _descriptors(server: ServerProcess) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


@pytest.mark.parametrize("runtime", ["server", "func"])
def test_who_is_gone_leaves_nothing_behind(agent: ServerProcess, tmp_path: Path, runtime: str) -> None:
    """By a reset or in good order, at once or later, in a text, in chunks, in lines, and with requests that wait for an answer."""
    server = start(runtime, tmp_path, agent.addresses["unix"])
    with requests.Session() as session:
        metrics = server.addresses["http"] + "/metrics"
        assert session.get(metrics, timeout=5).ok
        before = _descriptors(server)
        for sent in _SENT:
            for wait in (0.0, 0.2):
                _leave(server, sent, reset=True, wait=wait)
                _leave(server, sent, reset=False, wait=wait)
        _until(lambda: "function_requests_in_flight 0.0" in session.get(metrics, timeout=5).text, server)
        _until(lambda: _descriptors(server) <= before, server)
    assert server.stop(signal.SIGTERM) == 0, server.text
    assert "Traceback" not in server.text
    assert "went away" not in server.text
