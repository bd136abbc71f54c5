"""What a caller may ask for: the same over every way in."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import requests

from function.classify import softmax
from function.load import extras_of
from function.options import Options, Unusable, read_options, typed
from function.tokens import Encoder
from tests.conftest import ROOT, TWEETS, Server
from tests.test_function import LABELS, post, start, wait_until_ready

LONG = "tea " * 150 + "good morning my dear friends " * 30


@pytest.fixture(scope="module")
def function(agent: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start(tmp_path_factory.mktemp("options"), agent.addresses["unix"])
    wait_until_ready(server)
    yield server
    assert server.stop() == 0


@pytest.mark.parametrize(
    ("given", "options"),
    [
        ({}, Options()),
        ({"truncation": None, "top_k": None, "other": 7}, Options()),
        (
            {"truncation": "tail", "top_k": 2, "threshold": 0.5, "logits": True, "errors": "item"},
            Options("tail", 2, 0.5, True, "item"),
        ),
        ({"top_k": 2.0, "threshold": 0}, Options(top_k=2, threshold=0)),
    ],
)
def test_options_are_read(given: dict[str, Any], options: Options) -> None:
    """What is not there, or null, is the default; what is no option is not looked at."""
    assert read_options(given) == options


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("truncation", "middle"), ("truncation", 1), ("top_k", 0), ("top_k", 1.5), ("top_k", True), ("top_k", "2"),
        ("threshold", "x"), ("threshold", float("nan")), ("threshold", float("inf")), ("threshold", True),
        ("logits", "yes"), ("logits", 1), ("errors", "none"),
    ],
)  # fmt: skip
def test_wrong_options_are_named(name: str, value: Any) -> None:
    """With what would be right."""
    with pytest.raises(Unusable, match=f'"{name}" must be'):
        read_options({name: value})


def test_text_gets_the_types_of_json() -> None:
    """A form and a query string hold text alone."""
    given = {"truncation": "tail", "top_k": "2", "threshold": "0.5", "logits": "true", "text": "12"}
    assert typed(given) == {"truncation": "tail", "top_k": 2, "threshold": 0.5, "logits": True}


def test_truncation(function: Server) -> None:
    """head sees the beginning, tail the end, window all of it, error refuses and counts the tokens."""

    def ask(text: str, truncation: str) -> Any:
        return post(function, {"text": text, "truncation": truncation})

    head, tail = ask(LONG, "head").json(), ask(LONG, "tail").json()
    assert head["tokens"] == tail["tokens"] == 128
    assert head["truncated"] is tail["truncated"] is True
    assert head["scores"] != tail["scores"]
    words = LONG.split()
    assert ask(" ".join(words[:126]), "head").json()["scores"] == pytest.approx(head["scores"], abs=1e-4)
    assert ask(" ".join(words[-126:]), "head").json()["scores"] == pytest.approx(tail["scores"], abs=1e-4)
    refused = ask(LONG, "error")
    assert refused.status_code == 422
    assert f"has {len(words) + 2} tokens; the model sees at most 128" in refused.json()["detail"]
    for truncation in ("head", "tail", "window", "error"):
        short = ask("good morning", truncation).json()
        assert short["tokens"] == 4
        assert "truncated" not in short


def test_windows_are_averaged(agent: Server, function: Server) -> None:
    """Each window's scores, asked for one by one through the protocol, have the mean that is answered."""
    from vaccel_rpc.addresses import parse
    from vaccel_rpc.channels import connect
    from vaccel_rpc.client import Client
    from vaccel_rpc.tensors import to_values

    extras = extras_of(TWEETS)
    assert extras.tokenizer
    assert extras.signature
    (encoded,) = Encoder(extras.tokenizer, extras.signature).encode([LONG], "window")
    calls = Client(connect(parse(agent.addresses["unix"]), 5))
    session = calls.create_session()
    model = calls.register_path(session, "tweets", timeout=20)
    scores = [softmax(to_values(calls.run(session, model, window, 1, 20)[0])) for window in encoded.windows]
    answer = post(function, {"text": LONG, "truncation": "window"}).json()
    assert answer["windows"] == len(scores) == 3
    assert answer["tokens"] == len(LONG.split()) + 2
    mean = [sum(column) / len(column) for column in zip(*scores, strict=True)]
    assert [answer["scores"][label] for label in LABELS] == pytest.approx(mean, abs=1e-4)
    calls.close()


def test_best_labels_threshold_and_logits(function: Server) -> None:
    """top_k keeps the best, best first; threshold adds the labels at or above it; logits are what the model gave."""
    whole = post(function, {"text": "good morning"}).json()
    best = sorted(LABELS, key=lambda label: -whole["scores"][label])
    answer = post(function, {"text": "good morning", "top_k": 2, "threshold": 0.05, "logits": True}).json()
    assert list(answer["scores"]) == best[:2]
    assert answer["labels"] == [label for label in best if whole["scores"][label] >= 0.05]
    assert softmax([answer["logits"][label] for label in LABELS]) == pytest.approx(
        [whole["scores"][label] for label in LABELS], abs=1e-4
    )
    assert post(function, {"text": "good morning", "threshold": 2}).json()["labels"] == []


def test_one_bad_text_among_many(function: Server) -> None:
    """By default it refuses the request with its index; asked for, it has an error of its own, and the others their answers."""
    texts = ["good morning", "", 7, LONG, "tea"]
    refused = post(function, {"texts": texts})
    assert refused.status_code == 422
    assert "texts[1] is empty" in refused.json()["detail"]
    answer = post(function, {"texts": texts, "errors": "item", "truncation": "error"}).json()["predictions"]
    assert ["error" in one for one in answer] == [False, True, True, True, False]
    assert [one["error"]["detail"].split(" ")[0] for one in answer[1:4]] == ["texts[1]", "texts[2]", "texts[3]"]
    too_long = post(function, {"texts": ["tea", LONG], "truncation": "error"})
    assert too_long.status_code == 422
    assert "texts[1] has" in too_long.json()["detail"]


def test_the_same_over_every_way_in(agent: Server, function: Server, tmp_path: Path) -> None:
    """JSON, a form, a query, a line, an event and the command line give the same answer to the same text and options."""
    url = function.addresses["http"]
    asked = {"truncation": "window", "top_k": 2, "threshold": 0.01, "logits": "true"}
    body = {**asked, "logits": True, "text": LONG}
    file = tmp_path / "texts.txt"
    file.write_text(LONG + "\n")
    command = [sys.executable, "-m", "function.classifier", "-m", str(TWEETS), "-f", str(file), "--format", "jsonl", "--address"]
    options = ["--truncation", "window", "--top-k", "2", "--threshold", "0.01", "--logits"]
    line = subprocess.run(
        [*command, agent.addresses["unix"], *options], capture_output=True, text=True, cwd=ROOT, check=True
    ).stdout
    event = {"specversion": "1.0", "id": "1", "source": "/t", "type": "t", "data": body}
    answers = [
        requests.post(url + "/classify", json=body, timeout=20).json(),
        requests.post(url + "/classify", data={**asked, "text": LONG}, timeout=20).json(),
        requests.post(f"{url}/classify?{urlencode(asked)}", data=LONG, headers={"Content-Type": "text/plain"}, timeout=20).json(),
        requests.post(
            url + "/classify", data=json.dumps(body), headers={"Content-Type": "application/x-ndjson"}, timeout=20
        ).json(),
        requests.post(url, data=json.dumps(event), headers={"Content-Type": "application/cloudevents+json"}, timeout=20).json()[
            "data"
        ],
        json.loads(line),
    ]
    first = answers[0]
    for answer in answers[1:]:
        for name in ("label", "tokens", "windows", "labels"):
            assert answer[name] == first[name]
        for name in ("scores", "logits"):
            assert answer[name] == pytest.approx(first[name], abs=1e-3)
            assert list(answer[name]) == list(first[name])


def test_the_log_has_ids_and_no_text(agent: Server, tmp_path: Path) -> None:
    """One JSON object for a request; the text only where that is asked for."""
    for texts in ("0", "1"):
        server = start(tmp_path, agent.addresses["unix"], LOG_FORMAT="json", LOG_TEXTS=texts)
        wait_until_ready(server)
        headers = {"X-Request-Id": "r-1", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
        requests.post(server.addresses["http"] + "/classify", json={"texts": ["marmalade", "tea"]}, headers=headers, timeout=20)
        assert server.stop() == 0
        lines = [json.loads(line) for line in server.text.splitlines()]
        (line,) = [line for line in lines if line["target"] == "function.access"]
        assert (line["request_id"], line["trace_id"]) == ("r-1", "0af7651916cd43dd8448eb211c80319c")
        assert (line["method"], line["path"], line["status"], line["texts"]) == ("POST", "/classify", 200, 2)
        assert ("marmalade" in server.text) == (texts == "1")
