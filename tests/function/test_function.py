"""The function over HTTP: a real server, a real agent."""

from __future__ import annotations

import http.client
import json
import math
import re
import signal
import socket
import time
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner

from export.commands import main as export
from function.config import from_env
from tests.support.badrequests import BAD
from tests.support.functions import LABELS, post, start, wait_until_ready
from tests.support.paths import TWEETS
from tests.support.servers import ServerProcess, spawn
from vaccel_common.options import ConfigError
from vaccel_common.scores import SCORES
from vaccel_rpc.pool.targets import show

#: What the fixture ``function`` sets for the tests of this module.
FUNCTION_ENV = {"MAX_BODY": "100000"}


@pytest.mark.parametrize("path", ["/classify", "/"])
def test_one_text(function: ServerProcess, path: str) -> None:
    """A text gets a label, its score, all scores, and which model said so."""
    answer = post(function, {"text": "What a lovely day for a walk"}, path=path).json()
    assert answer["label"] == "neither"
    assert answer["score"] == answer["scores"]["neither"] == max(answer["scores"].values())
    assert list(answer["scores"]) == LABELS
    assert math.isclose(sum(answer["scores"].values()), 1)
    assert answer["tokens"] == 9
    assert "truncated" not in answer
    digest = (TWEETS.parent / "tweets.pt.sha256").read_text().split()[0]
    assert answer["model"] == {"name": "tweets", "sha256": digest}


def test_many_texts_keep_their_order(function: ServerProcess) -> None:
    """Each text's prediction is what it gets alone, to 1e-4, at its own place."""
    texts = ["good morning", "the match was on very late yesterday and I am tired", "tea " * 30, "see you"]
    together = post(function, {"texts": texts}).json()["predictions"]
    for text, prediction in zip(texts, together, strict=True):
        alone = post(function, text.encode(), "text/plain; charset=utf-8").json()
        assert alone["label"] == prediction["label"]
        for label in LABELS:
            assert abs(alone["scores"][label] - prediction["scores"][label]) < 1e-4


def test_truncation_is_reported(function: ServerProcess) -> None:
    """A text longer than the model sees says so, at the limit it does not."""
    assert post(function, {"text": "tea " * 126}).json()["tokens"] == 128
    assert "truncated" not in post(function, {"text": "tea " * 126}).json()
    long = post(function, {"text": "tea " * 127}).json()
    assert (long["tokens"], long["truncated"]) == (128, True)


@pytest.mark.parametrize(("body", "kind", "status", "says"), BAD, ids=[f"{status}-{says}" for _, _, status, says in BAD])
def test_bad_input(function: ServerProcess, body: bytes, kind: str, status: int, says: str) -> None:
    """Each mistake has its code and a problem that says what would be right; the function goes on."""
    answer = post(function, body, kind)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert says in answer.json()["detail"]
    assert post(function, {"text": "good morning"}).status_code == 200


def test_at_the_limits_a_request_passes(function: ServerProcess) -> None:
    """128 texts, and a text of 10,000 characters, are answered."""
    assert len(post(function, {"texts": ["tea"] * 128}).json()["predictions"]) == 128
    assert post(function, {"text": "a" * 10_000}).status_code == 200


def test_chunked_bodies(function: ServerProcess) -> None:
    """A body without a length is read, and refused when it is too large."""
    url = function.addresses["http"] + "/classify"
    headers = {"Content-Type": "text/plain"}
    assert requests.post(url, data=iter([b"good ", b"morning"]), headers=headers, timeout=20).json()["tokens"] == 4
    assert requests.post(url, data=iter([b"x" * 60_000] * 2), headers=headers, timeout=20).status_code == 413


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/classify", 405), ("GET", "/nothing", 404), ("PUT", "/", 405)])
def test_other_routes_are_problems_too(function: ServerProcess, method: str, path: str, status: int) -> None:
    """404 and 405 are problem documents too; 405 says which methods are allowed."""
    answer = requests.request(method, function.addresses["http"] + path, timeout=10)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert status != 405 or "POST" in answer.headers["Allow"]


def test_sigterm_lets_requests_finish(agent: ServerProcess, tmp_path: Path) -> None:
    """A request whose body is still coming when SIGTERM arrives is answered; then the exit code is 0."""
    server = start(tmp_path, agent.addresses["unix"])
    wait_until_ready(server)
    host, port = server.addresses["http"].removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n\r\ngood ")
        time.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        client.sendall(b"morning")
        answer = http.client.HTTPResponse(client)
        answer.begin()
        assert answer.status == 200
        assert json.loads(answer.read())["tokens"] == 4
    assert server.process.wait(20) == 0


def test_a_busy_port_is_one_line(tmp_path: Path) -> None:
    """One line names the variable that changes the port, and the function exits with 1."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        server = spawn(
            tmp_path / "log", "function", env={"PORT": port, "HOST": "127.0.0.1", "VACCEL_RPC_ADDRESS": f"unix://{tmp_path}/a"}
        )
        assert server.process.wait(20) == 1
    assert f"127.0.0.1:{port}" in server.text
    assert "set PORT" in server.text
    assert "Traceback" not in server.text


def test_a_name_works_with_a_tokenizer_file(agent: ServerProcess, tmp_path: Path) -> None:
    """The function needs no model file: the agent has the model, the tokenizer file the rest."""
    tokenizer = tmp_path / "tweets.tokenizer"
    assert CliRunner().invoke(export, ["tokenizer", str(TWEETS), "-o", str(tokenizer)]).exit_code == 0
    digest = (TWEETS.parent / "tweets.pt.sha256").read_text().split()[0]
    for model in ("tweets", f"sha256:{digest}", ""):
        server = start(tmp_path, agent.addresses["tcp"], MODEL=model, TOKENIZER=str(tokenizer))
        try:
            wait_until_ready(server)
            assert post(server, {"text": "good morning"}).json()["model"] == {"name": "tweets", "sha256": digest}
        finally:
            assert server.stop() == 0


def test_a_name_that_does_not_resolve_is_named(tmp_path: Path) -> None:
    """Not ready, for a reason that the log has with the address; it goes on trying."""
    server = start(tmp_path, "tcp://no-such-agent.invalid:8888")
    try:
        answer = requests.get(server.addresses["http"] + "/health/readiness", timeout=5)
        while "connecting" in answer.text:
            answer = requests.get(server.addresses["http"] + "/health/readiness", timeout=5)
        assert answer.status_code == 503
        reason = answer.json()["detail"].removeprefix("no agent: ")
        server.wait_for(re.escape(f"tcp://no-such-agent.invalid:8888: no agent: {reason}; looking it up again"))
    finally:
        assert server.stop() == 0


def test_the_environment_that_is_given_is_all_that_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """`from_env` reads its argument alone: an agent's address in the process's own environment does not count."""
    monkeypatch.setenv("VACCEL_RPC_ADDRESS", "tcp://elsewhere:1")
    monkeypatch.setenv("K_SERVICE", "elsewhere")
    assert show(from_env({}).agents) == "tcp://127.0.0.1:65500"
    assert from_env({}).event_source == "/function"
    assert show(from_env({"VACCEL_RPC_ADDR": "tcp://b:1"}).agents) == "tcp://b:1"
    assert show(from_env({"VACCEL_RPC_ADDR": "tcp://b:1", "VACCEL_RPC_ADDRESS": "tcp://a:1"}).agents) == "tcp://a:1"


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("PORT", "x", "PORT=x: a whole number"),
        ("PORT", "65536", "from 0 to 65535"),
        ("MAX_TEXTS", "0", "from 1"),
        ("REQUEST_TIMEOUT_S", "nan", "a number of seconds, greater than 0"),
        ("LOG_FORMAT", "xml", "one of text, json"),
        ("VACCEL_RPC_ADDRESS", "localhost", "no scheme"),
        ("VACCEL_RPC_DIALECT", "0.9", "one of auto, 0.7, 0.8"),
        ("VACCEL_RPC_ADDRESS", "tcp://a:1,tcp://a:1", "tcp://a:1 is given twice"),
        *[
            (
                "CORS_ORIGINS",
                f"https://b.example,{origin}",
                f"'{origin}': an origin, scheme://host or scheme://host:port, or * is needed",
            )
            for origin in (
                "foo",
                "a.example:80",
                "https://a.example/",
                "https://a.example/b",
                "https://*.example",
                "https://a:b",
                "null",
                "https://",
                "https://a b",
                "https://u@a.example",
                "https://caf\u00e9.example",
            )
        ],
    ],
)
def test_a_wrong_variable_is_named(variable: str, value: str, says: str) -> None:
    """The error holds the variable and what would be right."""
    with pytest.raises(ConfigError, match=variable) as raised:
        from_env({variable: value})
    assert says in str(raised.value)


def test_origins_are_compared_as_browsers_send_them() -> None:
    """In lower case, and without the port that their scheme has anyway."""
    written = "*, HTTPS://A.Example:443,http://b:80,http://b:443,https://[::1]:8443,chrome-extension://abc"
    assert from_env({"CORS_ORIGINS": written}).cors_origins == (
        "*", "https://a.example", "http://b", "http://b:443", "https://[::1]:8443", "chrome-extension://abc",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "logits", "scores"),
    [
        ("single_label_classification", [1.0, 2.0, 3.0], [0.0900305732, 0.2447284711, 0.6652409558]),
        ("single_label_classification", [1000.0, 0.0], [1.0, 0.0]),
        ("multi_label_classification", [0.0, 2.0, -800.0, 800.0], [0.5, 0.8807970780, 0.0, 1.0]),
        ("regression", [-3.5], [-3.5]),
    ],
)
def test_scores_follow_the_problem_type(kind: str, logits: list[float], scores: list[float]) -> None:
    """Softmax for one label, sigmoids for several, the plain number for regression."""
    assert SCORES[kind](logits) == pytest.approx(scores, abs=1e-9)
