"""HTTP/2 without TLS, by prior knowledge: func-python serves it, our own server refuses it in HTTP/1.1."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.support.optional import environment_python, require
from tests.support.paths import ROOT
from tests.support.runtimes import start
from tests.support.servers import ServerProcess

TEXT = {"path": "/classify", "type": "application/json", "body": '{"text": "good morning"}'}
LINES = {"path": "/classify?summary=true", "type": "application/x-ndjson", "body": '{"text": "good morning"}\n{"text": ""}\n'}
NOTHING = {"path": "/nothing", "type": "text/plain", "body": "tea"}
EMPTY = {"path": "/classify", "type": "text/plain", "body": ""}


@pytest.fixture(scope="module")
def func(agent: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The function under func-python."""
    server = start("func", tmp_path_factory.mktemp("h2c"), agent.addresses["unix"])
    yield server
    assert server.stop(signal.SIGTERM) == 0, server.text
    assert "Traceback" not in server.text


def exchange(server: ServerProcess, *several: dict[str, Any]) -> list[dict[str, Any]]:
    """The answers to requests that are sent together."""
    job = {"port": int(server.addresses["http"].rpartition(":")[2]), "requests": several}
    command = [environment_python("func"), str(ROOT / "tests/function/http/h2client.py")]
    done = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr + server.text
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


def test_func_python_answers_over_h2c(func: ServerProcess) -> None:
    """Several requests of one connection at a time: a text, lines, and errors."""
    text, lines, nothing, empty = exchange(func, TEXT, LINES, NOTHING, EMPTY)
    assert (text["status"], json.loads(text["body"])["tokens"]) == (200, 4)
    first, second, summary = map(json.loads, lines["body"].splitlines())
    assert (lines["status"], first["label"], second["error"]["status"]) == (200, "neither", 422)
    assert summary == {"lines": 2, "errors": 1}
    assert (nothing["status"], empty["status"]) == (404, 422)


def test_who_resets_a_stream_leaves_nothing_behind(func: ServerProcess) -> None:
    """In the middle of a text and of lines; the other requests of the connection go on."""
    (answer,) = exchange(func, {**TEXT, "leaves": True}, {**LINES, "leaves": True}, TEXT)
    assert answer["status"] == 200
    assert "function_requests_in_flight 0.0" in requests.get(func.addresses["http"] + "/metrics", timeout=5).text


def test_curl_speaks_it_too(func: ServerProcess) -> None:
    """A client whose HTTP/2 is not of the server's own library is answered."""
    done = subprocess.run(
        ["curl", "-sS", "--http2-prior-knowledge", "-o", "/dev/null", "-w", "%{http_version} %{http_code}", func.addresses["http"]],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    require("not support" not in done.stderr, "this curl has no HTTP/2")
    assert done.stdout == "2 200", done.stderr
