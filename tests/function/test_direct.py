"""Plain requests, which the event loop answers itself: as every other way answers, and without a thread."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from loadkit.usage import threads
from tests.support.functions import function_of, wait_until_ready
from tests.support.servers import ServerProcess

#: White space behind a body that is too long to be plain.
MORE = b" " * 5000
TEXT = "What a lovely day for a walk"


def posted(server: ServerProcess, body: bytes, **headers: str) -> requests.Response:
    named = {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return requests.post(server.addresses["http"] + "/classify", data=body, headers=named, timeout=30)


def told(response: requests.Response) -> tuple[int, Any, dict[str, str]]:
    """Status, body and headers; of numbers that differ each time, that they are there."""
    headers = {name: re.sub(r"\d+\.\d+|[0-9a-f]{32}", "N", value) for name, value in response.headers.items() if name != "date"}
    body = response.json()
    for scores in (body.get("scores", {}), body.get("logits", {})):
        scores.update({label: round(score, 4) for label, score in scores.items()})
    if "score" in body:
        body["score"] = round(body["score"], 4)
    headers["content-length"] = "N"
    return response.status_code, body, headers


@pytest.mark.parametrize(
    "body",
    [
        {"text": TEXT},
        {"text": TEXT, "top_k": 1, "logits": True},
        {"text": TEXT, "threshold": 0.001},
        {"text": "tea " * 200},
        {"text": "tea " * 200, "truncation": "tail"},
        {"text": "tea " * 200, "truncation": "window"},
        {"text": "tea " * 200, "truncation": "error"},
        {"text": "\u200b"},
        {"text": "naïve café 🍵"},
        {"texts": [TEXT]},
        {"text": ""},
        {"text": TEXT, "topk": 1},
    ],
)
def test_both_ways_answer_alike(function: ServerProcess, body: dict[str, Any]) -> None:
    """Status, headers in their order, and body, of answers and of errors."""
    data = json.dumps(body).encode()
    plain, other = posted(function, data, X_Request_Id="a"), posted(function, data + MORE, X_Request_Id="a")
    assert told(plain) == told(other)
    assert [*plain.headers] == [*other.headers]


@pytest.mark.parametrize("header", [{"Origin": "http://a"}, {"Content_Encoding": "identity"}, {"traceparent": "x"}, {}])
def test_an_id_is_the_clients_or_a_new_one(function: ServerProcess, header: dict[str, str]) -> None:
    """Also where another header makes the request one of the others."""
    data = json.dumps({"text": TEXT}).encode()
    assert posted(function, data, X_Request_Id="mine", **header).headers["X-Request-Id"] == "mine"
    assert re.fullmatch("[0-9a-f]{32}", posted(function, data, X_Request_Id="not valid", **header).headers["X-Request-Id"])


def test_plain_requests_need_no_thread(tmp_path: Path, agent: ServerProcess) -> None:
    """32 at the same time; and each is in the log and in the metrics."""
    data = json.dumps({"text": TEXT}).encode()
    with function_of(tmp_path, agent.addresses["unix"]) as server, ThreadPoolExecutor(32) as pool:
        wait_until_ready(server)
        posted(server, data)
        before = threads(server.process.pid)
        assert all(answer.ok for answer in pool.map(lambda _: posted(server, data), range(128)))
        assert threads(server.process.pid) <= before + 1, "the metrics' timer may have begun or ended"
        assert all(answer.ok for answer in pool.map(lambda _: posted(server, data + MORE), range(128)))
        assert threads(server.process.pid) > before + 2, "others do"
        metrics = requests.get(server.addresses["http"] + "/metrics", timeout=10).text
        assert 'function_requests_total{code="200",route="/classify"} 257.0' in metrics
        assert "function_requests_in_flight 0.0" in metrics
    assert len(re.findall(r"path=/classify status=200 request_id=\w+ ms=[\d.]+ texts=1", server.text)) == 257


def test_the_limit_of_requests_holds(tmp_path: Path, agent: ServerProcess) -> None:
    """Beyond THREADS a plain request is refused as any other."""
    data = json.dumps({"text": "tea " * 120}).encode()
    with function_of(tmp_path, agent.addresses["unix"], THREADS="1") as server, ThreadPoolExecutor(8) as pool:
        wait_until_ready(server)
        answers = [*pool.map(lambda _: posted(server, data), range(64))]
        assert {answer.status_code for answer in answers} == {200, 503}
        refused = next(answer for answer in answers if answer.status_code == 503)
        assert "the concurrency limit (THREADS) is reached" in refused.json()["detail"]
        assert posted(server, data).ok
