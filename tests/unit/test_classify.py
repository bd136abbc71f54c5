"""Texts to predictions, over a runner that a test plays."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from function.core.classifier import Classifier, Prediction
from function.core.options import Options, Unusable
from tests.support.inprocess import LogitsRunner, client, extras
from vaccel_rpc.errors import Internal, InvalidArgument, RpcError, Unavailable

#: Texts that hold characters, and nothing that the tokenizer keeps.
BLANK = ["\u200b\u200b\u2060", "\x07\x07", "\u200d", "&#8203;"]


@pytest.mark.parametrize("text", BLANK)
def test_a_text_without_a_token_is_empty(text: str) -> None:
    """It is refused with what was seen, and the model does not run for it; beside others it has its place."""
    runner = LogitsRunner(lambda _: (0.0, 0.0, 1.0))
    items = Classifier.of_file(extras(), runner).classify(["tea", text]).items
    assert isinstance(items[1], Unusable)
    assert str(items[1]).startswith(f"texts[1] is empty: {len(text)} character")
    assert f"U+{ord(text[0]):04X}" in str(items[1])
    assert runner.runs == 1


def test_many_different_characters_are_not_all_shown() -> None:
    """The message names a few of them and stays short."""
    (item,) = (
        Classifier.of_file(extras(), LogitsRunner(lambda _: (0.0, 0.0, 1.0)))
        .classify(["\u200b\u200c\u200d\u200e\u200f\u2060"])
        .items
    )
    assert str(item) == (
        "texts[0] is empty: 6 characters (U+200B, U+200C, U+200D, U+200E, U+200F, ...), and no token that the model can see"
    )


def test_an_unknown_word_is_a_token() -> None:
    """[UNK] is what the model was trained to see."""
    (item,) = Classifier.of_file(extras(), LogitsRunner(lambda _: (0.0, 0.0, 1.0))).classify(["\u058e"]).items
    assert isinstance(item, Prediction)
    assert item.tokens == 3


def test_blank_texts_are_classified_where_they_may_be() -> None:
    """As the deployment guide's classifier does with empty lines."""
    items = (
        Classifier.of_file(extras(), LogitsRunner(lambda _: (0.0, 0.0, 1.0)), blank=True)
        .classify(["", *BLANK], None, Options())
        .items
    )
    assert not any(isinstance(item, Unusable) for item in items)


@pytest.mark.parametrize(
    ("path", "kind", "body", "status"),
    [
        ("/classify", "application/json", {"text": "\u200b"}, 422),
        ("/classify", "text/plain", "\u200b", 422),
        (
            "/",
            "application/cloudevents+json",
            {"specversion": "1.0", "id": "1", "source": "/", "type": "t", "data": {"text": "\u200b"}},
            400,
        ),
    ],
)
def test_one_text_is_called_the_text(path: str, kind: str, body: Any, status: int) -> None:
    """An error about a single text does not name a place in a list."""
    answer = client().post(path, data=body if isinstance(body, str) else json.dumps(body), content_type=kind)
    assert answer.status_code == status
    assert answer.json["detail"].startswith("the text is empty: 1 character (U+200B), and no token")


def test_one_of_many_has_its_place() -> None:
    """An error names the text's place in a list, in an inference request or in a line."""
    texts = ["tea", "\u200b"]
    answer = client().post("/classify", json={"texts": texts})
    assert (answer.status_code, answer.json["detail"][:17]) == (422, "texts[1] is empty")
    answer = client().post("/classify", json={"texts": texts, "errors": "item"})
    assert [prediction.get("error", {}).get("status") for prediction in answer.json["predictions"]] == [None, 422]
    tensor = {"name": "text", "datatype": "BYTES", "shape": [2], "data": texts}
    answer = client().post("/v2/models/tweets/infer", json={"inputs": [tensor]})
    assert (answer.status_code, answer.json["error"][:17]) == (400, "texts[1] is empty")
    lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
    answer = client().post("/classify", data=lines, content_type="application/x-ndjson")
    first, second = [json.loads(line) for line in answer.data.splitlines()]
    assert "label" in first
    assert (second["line"], second["error"]["detail"][:17]) == (2, "the text is empty")


def failing(number: float) -> Callable[[list[Any]], Sequence[float]]:
    """Logits that hold ``number`` for a text of two words."""
    return lambda ids: (0.0, number if len(ids) == 4 else 1.0, -1.0)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("options", [{}, {"logits": True}, {"truncation": "window"}])
def test_an_output_that_is_not_finite_is_an_error(number: float, options: dict[str, Any]) -> None:
    """502 over every way in that answers once, but 422 for an event, which a broker would send again; no answer holds the number."""
    single, many = {"text": "two words", **options}, {"texts": ["tea", "two words"], **options}
    event = {"specversion": "1.0", "id": "1", "source": "/", "type": "t"}
    tensor = {"name": "text", "datatype": "BYTES", "shape": [1], "data": ["two words"]}
    infer = {"inputs": [tensor], "parameters": options}
    binary = {"inputs": [tensor], "parameters": {**options, "binary_data_output": True}}
    bodies: list[tuple[str, Any, str]] = [
        ("/classify", single, "application/json"),
        ("/classify", many, "application/json"),
        ("/", {**event, "data": single}, "application/cloudevents+json"),
        ("/v2/models/tweets/infer", infer, "application/json"),
        ("/v2/models/tweets/infer", binary, "application/json"),
    ]
    for path, body, kind in bodies:
        answer = client(failing(number)).post(path, data=json.dumps(body), content_type=kind)
        assert answer.status_code == (422 if path == "/" else 502), answer.text
        assert "INTERNAL: the model's output is not finite" in (answer.json.get("detail") or answer.json["error"])


@pytest.mark.parametrize(
    ("error", "status"), [(InvalidArgument("too long"), 422), (Internal("the engine failed"), 502), (Unavailable("gone"), 503)]
)
def test_an_event_that_may_succeed_later_is_one_to_repeat(error: RpcError, status: int) -> None:
    """A broker sends an event again for a 5xx and for no 4xx; what the agent refuses by its inputs it always will."""
    event = {"specversion": "1.0", "id": "1", "source": "/", "type": "t", "data": {"text": "tea"}}
    answer = client(lambda _: error).post("/", data=json.dumps(event), content_type="application/cloudevents+json")
    assert answer.status_code == status


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_only_that_text_fails_where_each_has_its_own_error(number: float) -> None:
    """In lines, in a list and in an inference request with errors=item."""
    texts = ["tea", "two words", "tea"]
    lines = "".join(json.dumps({"text": text, "logits": True}) + "\n" for text in texts)
    answer = client(failing(number)).post("/classify", data=lines, content_type="application/x-ndjson")
    statuses = [json.loads(line).get("error", {}).get("status") for line in answer.data.splitlines()]
    assert statuses == [None, 502, None]
    answer = client(failing(number)).post("/classify", json={"texts": texts, "errors": "item"})
    assert [prediction.get("error", {}).get("status") for prediction in answer.json["predictions"]] == [None, 502, None]
    tensor = {"name": "text", "datatype": "BYTES", "shape": [3], "data": texts}
    body = {"inputs": [tensor], "parameters": {"errors": "item"}}
    outputs = {
        output["name"]: output["data"]
        for output in client(failing(number)).post("/v2/models/tweets/infer", json=body).json["outputs"]
    }
    assert outputs["label"] == ["offensive-language", "", "offensive-language"]
    assert "not finite" in outputs["error"][1]
