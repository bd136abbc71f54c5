"""What a caller may ask for: the same over every way in."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import requests

from function.core.options import Options, Unusable, read_options, typed
from function.core.request import RequestLimits, of_object
from function.core.tokens import Encoder
from function.load import extras_of
from tests.support.functions import LABELS, post, start, wait_until_ready
from tests.support.inprocess import client
from tests.support.paths import ROOT, TWEETS
from tests.support.servers import ServerProcess
from vaccel_common.scores import softmax

LONG = "tea " * 150 + "good morning my dear friends " * 30


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({}, Options()),
        ({"truncation": None, "top_k": None, "other": 7}, Options()),
        (
            {"truncation": "tail", "top_k": 2, "threshold": 0.5, "logits": True, "errors": "item"},
            Options("tail", 2, 0.5, True, "item"),
        ),
        ({"top_k": 2.0, "threshold": 0}, Options(top_k=2, threshold=0)),
        ({"top_k": 10**400, "threshold": -(10**400)}, Options(top_k=10**400, threshold=-(10**400))),
        ({"top_k": 1e308, "threshold": 1e308}, Options(top_k=int(1e308), threshold=1e308)),
    ],
)
def test_options_are_read(fields: dict[str, Any], options: Options) -> None:
    """What is not there, or null, is the default; what is no option is not looked at."""
    assert read_options(fields) == options


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("truncation", "middle"), ("truncation", 1), ("top_k", 0), ("top_k", 1.5), ("top_k", True), ("top_k", "2"),
        ("top_k", float("nan")), ("top_k", float("inf")), ("top_k", -(10**400)),
        ("threshold", "x"), ("threshold", float("nan")), ("threshold", float("inf")), ("threshold", True),
        ("logits", "yes"), ("logits", 1), ("errors", "none"),
    ],
)  # fmt: skip
def test_wrong_options_are_named(name: str, value: Any) -> None:
    """The error names the option and says what would be right."""
    with pytest.raises(Unusable, match=f'"{name}" must be'):
        read_options({name: value})


def test_text_gets_the_types_of_json() -> None:
    """A form and a query string hold text alone."""
    fields = {"truncation": "tail", "top_k": "2", "threshold": "0.5", "logits": "true", "text": "12"}
    assert typed(fields) == {"truncation": "tail", "top_k": 2, "threshold": 0.5, "logits": True}


@pytest.mark.parametrize(
    ("text", "value"),
    [("2", 2), (" 2 ", 2), ("2.0", 2.0), (".5", 0.5), ("1e-3", 0.001), ("-7", -7), ("9" * 400, int("9" * 400)), ("true", True),
     ("nan", "nan"), ("inf", "inf"), ("-Infinity", "-Infinity"), ("1_0", "1_0"), ("\u0663", "\u0663"), ("0x1", "0x1"), ("", ""), ("e5", "e5")],
)  # fmt: skip
def test_what_is_written_as_json_writes_a_number_is_one(text: str, value: Any) -> None:
    """Nothing else that Python takes for a number is."""
    assert typed({"threshold": text}) == {"threshold": value}


@pytest.mark.parametrize("text", ["1e400", "-1e999", "9" * 5000, "0.1e" + "9" * 30])
def test_a_number_out_of_range_is_named(text: str) -> None:
    """A number that is out of range is named, whatever way it came in."""
    with pytest.raises(Unusable, match='"top_k" is out of range: ' + re.escape(text[:20])):
        typed({"top_k": text})


#: What is meant by names that people write; and fields of anybody's rows, and of our own answers, that mean no option.
MISSPELT = {
    "truncation": ("Truncation", "TRUNCATION", "truncate", "Truncate", "trunctaion", "truncaton", "trunkation", "truncations"),
    "top_k": ("topk", "topK", "top-k", "Top_K", "TOP_K", "top k", "topks"),
    "threshold": ("Threshold", "treshold", "threshhold", "thresold", "treshhold", "thresholds", "thresh_old"),
    "logits": ("logit", "Logits", "LOGITS", "_logits", "logitss"),
    "errors": ("Errors", "erors", "errorrs"),
}
ORDINARY = [
    "id", "ID", "line", "label", "labels", "score", "scores", "source", "date", "datetime", "time", "timestamp", "user",
    "username", "lang", "language", "title", "thread", "threads", "logic", "logics", "login", "logins", "logs", "log",
    "logos", "digits", "limits", "limit", "topic", "topics", "top", "tops", "stop", "top_p", "top_n", "tok", "token",
    "tokens", "error", "err", "terror", "mirror", "truncated", "transaction", "translation", "function", "hold", "household",
    "thresher", "windows", "window", "model", "precision", "variant", "ms", "text2", "tweet", "tweet_id", "count",
    "hate_speech", "class", "url", "author", "created_at", "retweets", "likes", "lat", "lon", "geo", "hashtags", "mentions",
    "reply_to", "parent", "conversation_id", "subject", "body", "meta", "metadata", "tags", "category", "sentiment", "split",
    "index", "idx", "order", "priority", "temperature", "max_tokens", "binary_data_output", "sequence_id", "timeout",
    "utm_source", "utm_campaign", "errno", "trouble", "tropics", "pair_id", "pairing", "repair", "hypothetical",
]  # fmt: skip


@pytest.mark.parametrize(("name", "meant"), [(name, meant) for meant, names in MISSPELT.items() for name in names])
def test_a_name_that_is_nearly_an_options_is_refused(name: str, meant: str) -> None:
    """The error names the option that was probably meant."""
    with pytest.raises(Unusable, match=f'"{name}" is not an option; did you mean "{meant}"'):
        read_options({"text": "tea", "date": "today", name: 1})


@pytest.mark.parametrize("name", ORDINARY)
def test_a_name_that_means_something_else_is_ignored(name: str) -> None:
    """Unknown names pass, since the rows of users' files have columns of their own; none is a second text."""
    assert read_options({"text": "tea", name: 1}) == Options()
    assert of_object({"text": "tea", name: 1}, RequestLimits(1, 9, 99), {}).texts == ["tea"]


def test_rows_of_many_fields_cost_little() -> None:
    """Only the first unknown names are looked at, and no long one."""
    row = {f"column{i}": i for i in range(100_000)} | {"treshold": 1, "x" * 100_000: 2}
    assert read_options(row) == Options()
    with pytest.raises(Unusable):
        read_options({"treshold": 1} | row)


@pytest.mark.parametrize(
    "query",
    ["topk=1", "Threshold=0.5", "erors=item", "errors=bogus", "sumary=true", "Summary=true", "threshold=nan", "threshold=inf", "top_k=1e400",
     "top_k=" + "9" * 5000],
)  # fmt: skip
@pytest.mark.parametrize(
    ("kind", "body"),
    [("text/plain", "tea"), ("application/json", '{"text": "tea"}'), ("application/x-ndjson", '{"text": "tea"}')],
)
def test_a_query_string_is_held_to_the_same(query: str, kind: str, body: str) -> None:
    """422 that names the option, though the body is right; unknown names are ignored."""
    answer = client().post(f"/classify?{query}", data=body, content_type=kind)
    name = query.partition("=")[0]
    assert answer.status_code == 422
    assert f'"{name}"' in answer.json["detail"]
    assert client().post("/classify?utm_source=mail&text=other", data=body, content_type=kind).status_code == 200


def test_a_line_that_misspells_has_its_own_error() -> None:
    """A misspelt option fails its own line; the others are answered."""
    lines = [b'{"text": "tea"}', b'{"text": "tea", "topk": 1}', b'{"text": "tea", "lang": "en", "error": null}', b'{"Text": "tea"}',
             b'{"id": 1e400, "text": "tea"}', b'{"text": "tea", "top_k": %s}' % (b"9" * 1000 * 5)]  # fmt: skip
    answer = client().post("/classify", data=b"\n".join(lines), content_type="application/x-ndjson")
    rows = [json.loads(line, parse_constant=pytest.fail) for line in answer.data.splitlines()]
    details = [row["error"]["detail"] if "error" in row else "" for row in rows]
    assert [row.get("error", {}).get("status") for row in rows] == [None, 422, None, 422, 422, 413]
    assert details[1] == '"topk" is not an option; did you mean "top_k"?'
    assert details[3].endswith('; did you mean "text" by "Text"?')
    assert details[4].startswith('"id" is out of range: 1e400')


def test_truncation(function: ServerProcess) -> None:
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


def test_windows_are_averaged(agent: ServerProcess, function: ServerProcess) -> None:
    """Each window's scores, asked for one by one through the protocol, have the mean that is answered."""
    from vaccel_rpc.addresses import parse
    from vaccel_rpc.channels import connect
    from vaccel_rpc.client import VaccelClient
    from vaccel_rpc.tensors import to_values

    extras = extras_of(TWEETS)
    assert extras.tokenizer
    assert extras.signature
    (encoded,) = Encoder(extras.tokenizer, extras.signature).encode([LONG], "window")
    calls = VaccelClient(connect(parse(agent.addresses["unix"]), 5))
    session = calls.create_session()
    model = calls.register_path(session, "tweets", timeout=20)
    scores = [softmax(to_values(calls.run(session, model, window, 1, 20)[0])) for window in encoded.windows]
    answer = post(function, {"text": LONG, "truncation": "window"}).json()
    assert answer["windows"] == len(scores) == 3
    assert answer["tokens"] == len(LONG.split()) + 2
    mean = [sum(column) / len(column) for column in zip(*scores, strict=True)]
    assert [answer["scores"][label] for label in LABELS] == pytest.approx(mean, abs=1e-4)
    calls.close()


def test_best_labels_threshold_and_logits(function: ServerProcess) -> None:
    """top_k keeps the best, best first; threshold adds the labels at or above it; logits are what the model gave."""
    unfiltered = post(function, {"text": "good morning"}).json()
    best = sorted(LABELS, key=lambda label: -unfiltered["scores"][label])
    answer = post(function, {"text": "good morning", "top_k": 2, "threshold": 0.05, "logits": True}).json()
    assert list(answer["scores"]) == best[:2]
    assert answer["labels"] == [label for label in best if unfiltered["scores"][label] >= 0.05]
    assert softmax([answer["logits"][label] for label in LABELS]) == pytest.approx(
        [unfiltered["scores"][label] for label in LABELS], abs=1e-4
    )
    assert post(function, {"text": "good morning", "threshold": 2}).json()["labels"] == []


def test_a_threshold_beyond_every_score_has_no_label(function: ServerProcess) -> None:
    """A whole number may be larger than any float; the same holds for top_k."""
    for threshold, labels in ((10**400, 0), (-(10**400), 3)):
        answer = post(function, {"text": "good morning", "threshold": threshold, "top_k": 10**400})
        assert len(answer.json()["labels"]) == labels
        tensor = {"name": "text", "datatype": "BYTES", "shape": [1], "data": ["tea"]}
        body = {"inputs": [tensor], "parameters": {"threshold": threshold, "top_k": 10**400}}
        answer = post(function, body, path="/v2/models/tweets/infer")
        assert len(json.loads(answer.json()["outputs"][2]["data"][0])) == labels


def test_one_bad_text_among_many(function: ServerProcess) -> None:
    """By default it refuses the request with its index; asked for, it has an error of its own, and the others their answers."""
    texts = ["good morning", "", 7, LONG, "tea"]
    refused = post(function, {"texts": texts})
    assert refused.status_code == 422
    assert "texts[1] is empty" in refused.json()["detail"]
    answer = post(function, {"texts": texts, "errors": "item", "truncation": "error"}).json()["predictions"]
    assert ["error" in row for row in answer] == [False, True, True, True, False]
    assert [row["error"]["detail"].split(" ")[0] for row in answer[1:4]] == ["texts[1]", "texts[2]", "texts[3]"]
    too_long = post(function, {"texts": ["tea", LONG], "truncation": "error"})
    assert too_long.status_code == 422
    assert "texts[1] has" in too_long.json()["detail"]


def test_the_same_over_every_way_in(agent: ServerProcess, function: ServerProcess, tmp_path: Path) -> None:
    """JSON, a form, a query, a line, an event and the command line give the same answer to the same text and options."""
    url = function.addresses["http"]
    fields = {"truncation": "window", "top_k": 2, "threshold": 0.01, "logits": "true"}
    body = {**fields, "logits": True, "text": LONG}
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
        requests.post(url + "/classify", data={**fields, "text": LONG}, timeout=20).json(),
        requests.post(
            f"{url}/classify?{urlencode(fields)}", data=LONG, headers={"Content-Type": "text/plain"}, timeout=20
        ).json(),
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


def test_the_log_has_ids_and_no_text(agent: ServerProcess, tmp_path: Path) -> None:
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
