"""SIGTERM: what has begun to arrive is answered."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from pathlib import Path

import pytest
import requests

from tests.function.http.client import RawResponse, parse
from tests.function.http.table import CHUNKED, CHUNKS, END, FIRST, GET, LENGTH, LINES, POST, TEXT
from tests.support.runtimes import start
from tests.support.servers import ServerProcess

#: A request in two parts, the second of which comes after SIGTERM.
HALVES = {
    "head": (GET[:20], GET[20:] + END),
    "body": (POST + LENGTH + END + TEXT[:4], TEXT[4:]),
    "body that has not begun": (POST + LENGTH + END, TEXT),
    "chunks": (POST + CHUNKED + END + CHUNKS[:5], CHUNKS[5:]),
    "head after a whole request": (FIRST + GET[:20], GET[20:] + END),
    "body after a whole request": (FIRST + POST + LENGTH + END + TEXT[:4], TEXT[4:]),
}  # fmt: skip
#: The same of lines: the first of two is cut.
_HALF_LINE, _REST_OF_LINES = b'd\r\n{"text": "tea\r\n', b'3\r\n"}\n\r\n' + b'f\r\n{"text": "tea"}\r\n' + b"0\r\n\r\n"


def _connect(server: ServerProcess) -> socket.socket:
    host, port = server.addresses["http"].removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=10)


def _terminate(server: ServerProcess) -> None:
    """SIGTERM when what was sent has arrived, and waits until it is seen: not ready, or nothing new is accepted."""
    # One loop reads every connection, so a later request that is answered was read after the earlier ones.
    assert requests.get(server.addresses["http"] + "/health/readiness", timeout=5).status_code == 200
    server.process.terminate()
    end = time.monotonic() + 5
    with contextlib.suppress(requests.ConnectionError):
        while requests.get(server.addresses["http"] + "/health/readiness", timeout=5).status_code == 200:
            assert time.monotonic() < end
            time.sleep(0.02)


def _rest(client: socket.socket) -> bytes:
    """Everything up to the connection's end."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while data := client.recv(1 << 16):
            received += data
    return received


def _check_lines(answer: RawResponse, *, may_be_whole: bool = True) -> None:
    """Every line is answered and the body is ended, or the last line is an error of no line and the body is not ended."""
    assert answer.status == 200
    lines = [json.loads(line) for line in answer.body.splitlines()]
    answered = lines if answer.complete else lines[:-1]
    assert [answered_line["line"] for answered_line in answered] == list(range(1, len(answered) + 1))
    assert all("label" in answered_line for answered_line in answered)
    if answer.complete:
        assert may_be_whole
        assert len(answered) == 2
    else:
        assert list(lines[-1]) == ["error"]
        assert "ended early" in lines[-1]["error"]["detail"]


def test_what_had_begun_to_arrive_is_answered(agent: ServerProcess, tmp_path: Path) -> None:
    """Half a head or half a body: whole after SIGTERM, and answered; then the process ends with 0."""
    server = start("server", tmp_path, agent.addresses["unix"], READ_TIMEOUT_S="10", THREADS="32")
    with contextlib.ExitStack() as stack:
        clients = {name: stack.enter_context(_connect(server)) for name in HALVES}
        for name, client in clients.items():
            client.sendall(HALVES[name][0])
        _terminate(server)
        for name, client in clients.items():
            client.sendall(HALVES[name][1])
        answers = {name: parse(_rest(client)) for name, client in clients.items()}
    statuses = {name: [answer.status if answer.complete else "cut" for answer in several] for name, several in answers.items()}
    assert statuses == {name: [200, 200] if "after a whole" in name else [200] for name in HALVES}
    assert server.process.wait(15) == 0, server.text
    assert "Traceback" not in server.text


@pytest.mark.parametrize("half", ["head", "body"])
def test_what_never_arrives_holds_nothing_up(agent: ServerProcess, tmp_path: Path, half: str) -> None:
    """READ_TIMEOUT_S after its first byte it is 408, and the process ends; an idle connection is closed at once."""
    server = start("server", tmp_path, agent.addresses["unix"], READ_TIMEOUT_S="2", KEEP_ALIVE_S="60")
    with _connect(server) as idle, _connect(server) as client:
        idle.sendall(FIRST)
        client.sendall(HALVES[half][0])
        _terminate(server)
        assert [answer.status for answer in parse(_rest(client))] == [408]
        assert [answer.status for answer in parse(_rest(idle))] == [200]
    assert server.process.wait(10) == 0, server.text


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_stream_is_answered_or_told(agent: ServerProcess, tmp_path: Path, *, goes_on: bool) -> None:
    """Lines that go on after SIGTERM are answered, or get an error after READ_TIMEOUT_S.

    A stream without an end always gets the error.
    """
    server = start("server", tmp_path, agent.addresses["unix"], READ_TIMEOUT_S="2")
    with _connect(server) as client:
        client.sendall(LINES + _HALF_LINE)
        _terminate(server)
        with contextlib.suppress(ConnectionError):
            client.sendall(_REST_OF_LINES if goes_on else _REST_OF_LINES.removesuffix(b"0\r\n\r\n"))
        (answer,) = parse(_rest(client))
    _check_lines(answer, may_be_whole=goes_on)
    assert server.process.wait(10) == 0, server.text
    assert "Traceback" not in server.text
