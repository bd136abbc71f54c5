"""More connections than descriptors: idle ones make room, a flood does not fill the log, and accepting goes on."""

from __future__ import annotations

import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.servers import ServerProcess, spawn
from tests.support.sockets import answers, connect

FILES = 256


@pytest.fixture
def function(agent: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ServerProcess:
    """A function that may open 256 files."""
    original = subprocess.Popen

    def limited(command: list[str], **kwargs: Any) -> subprocess.Popen[bytes]:
        # By the shell: code between fork and exec is not safe in a process with threads, such as gRPC's.
        return original(["sh", "-c", f'ulimit -n {FILES} && exec "$@"', "sh", *command], **kwargs)

    monkeypatch.setattr(subprocess, "Popen", limited)
    env = {"VACCEL_RPC_ADDRESS": agent.addresses["unix"], "PORT": "0", "HOST": "127.0.0.1"}
    server = spawn(tmp_path / "function.log", "function", env=env)
    monkeypatch.undo()
    server.addresses["http"] = server.wait_for(r"Listening on (http://[^\s\"]+)")[1]
    return server


def alive(server: ServerProcess) -> int:
    return requests.get(server.addresses["http"] + "/health/liveness", timeout=5).status_code


@pytest.mark.parametrize("sent", [b"", b"GET / HT"], ids=["idle", "with half a head"])
def test_400_connections_do_not_shut_the_function(function: ServerProcess, sent: bytes) -> None:
    """Idle ones are closed for a new one; where none is idle, the new one gets a 503; when they leave, all is well within 5 s."""
    try:
        with ExitStack() as stack:
            for _ in range(400):
                client = stack.enter_context(connect(function))
                client.sendall(sent)
            if sent:
                with connect(function) as refused:
                    assert answers(refused)[0][0] == 503
            else:
                assert alive(function) == 200
        end = time.monotonic() + 5
        while True:
            try:
                if alive(function) == 200:
                    break
            except (TimeoutError, requests.RequestException):
                pass
            assert time.monotonic() < end, function.text
        assert function.text.count("\n") < 20, function.text
    finally:
        assert function.stop() == 0


def test_who_is_refused_can_send_and_read_why(function: ServerProcess) -> None:
    """Where none is idle, a new client sends its head, then its body, and reads its 503: it is not reset in the middle."""
    try:
        with ExitStack() as stack:
            for _ in range(200):
                stack.enter_context(connect(function)).sendall(b"GET / HT")
            for _ in range(5):
                with connect(function) as client:
                    time.sleep(0.05)
                    client.sendall(b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n")
                    time.sleep(0.05)
                    client.sendall(b"tea")
                    assert answers(client)[0][0] == 503
                    assert client.recv(1) == b""
    finally:
        assert function.stop() == 0


def test_many_who_are_refused_and_stay_do_not_use_up_the_descriptors(function: ServerProcess) -> None:
    """Some are waited for, so that they can read why; the others are closed at once, and nobody waits for a descriptor."""
    try:
        with ExitStack() as stack:
            for _ in range(192):
                stack.enter_context(connect(function)).sendall(b"GET / HT")
            for _ in range(300):
                refused = stack.enter_context(connect(function))
                assert answers(refused)[0][0] == 503
        assert "Too many open files" not in function.text
    finally:
        assert function.stop() == 0
