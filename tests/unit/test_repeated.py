"""What a request has twice is refused, over every way in: of two values either could be meant."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.inprocess import client

FORM, JSON, EVENT = "application/x-www-form-urlencoded", "application/json", "application/cloudevents+json"
TEXT, LINES = "text/plain", "application/x-ndjson"
HEAD = '"specversion": "1.0", "id": "1", "source": "/", "type": "t"'
INFER = '"name": "text", "datatype": "BYTES", "shape": [1], "data": ["tea"]'


@pytest.mark.parametrize(
    ("path", "kind", "body", "status", "says"),
    [
        ("/classify", FORM, "text=tea&text=cake", 422, '"text" is there twice; send several texts as "texts"'),
        ("/classify", FORM, "text=tea&text=tea", 422, '"text" is there twice; send several texts as "texts"'),
        ("/classify", FORM, "text=a&text_pair=b&text_pair=c", 422, '"text_pair" is there twice; send several pairs as "texts", in JSON'),
        ("/classify", FORM, "text=tea&threshold=0.1&threshold=0.9", 422, '"threshold" is there twice'),
        ("/classify", FORM, "texts=tea&texts=cake&top_k=&top_k=1&top_k=2", 422, '"top_k" is there twice'),
        ("/classify?top_k=1&top_k=3", FORM, "text=tea", 422, '"top_k" is there twice'),
        ("/classify?top_k=1&top_k=1", JSON, '{"text": "tea"}', 422, '"top_k" is there twice'),
        ("/classify?logits=true&logits=false", TEXT, "tea", 422, '"logits" is there twice'),
        ("/classify?summary=true&summary=true", LINES, '{"text": "tea"}', 422, '"summary" is there twice'),
        ("/?errors=item&errors=item", EVENT, f'{{{HEAD}, "data": {{"text": "tea"}}}}', 400, '"errors" is there twice'),
        ("/classify", JSON, '{"text": "tea", "text": "cake"}', 422, '"text" is there twice; send several texts as "texts"'),
        ("/classify", JSON, '{"text": "tea", "top_k": 1, "top_k": 2}', 422, '"top_k" is there twice'),
        ("/classify", JSON, '{"texts": [{"text": "tea", "text": "cake"}]}', 422, '"text" is there twice; send several texts as "texts"'),
        ("/", EVENT, f'{{{HEAD}, "id": "2", "data": {{"text": "tea"}}}}', 400, '"id" is there twice'),
        ("/v2/models/tweets/infer", JSON, f'{{"inputs": [{{{INFER}, "data": ["cake"]}}]}}', 400, '"data" is there twice'),
    ],
)  # fmt: skip
def test_it_is_refused_by_its_name(path: str, kind: str, body: str, status: int, says: str) -> None:
    """Whether the values differ or not."""
    answer = client().post(path, data=body, content_type=kind)
    assert (answer.status_code, answer.json.get("detail", answer.json.get("error"))) == (status, says)


def test_it_is_a_lines_own_error() -> None:
    """The other lines are answered."""
    answer = client().post("/classify", data='{"text": "a", "text": "b"}\n{"text": "tea"}\n', content_type=LINES)
    first, second = map(json.loads, answer.text.splitlines())
    assert (first["error"]["detail"], second["label"]) == ('"text" is there twice; send several texts as "texts"', "neither")


@pytest.mark.parametrize(
    ("query", "kind", "body"),
    [
        ("", FORM, "texts=tea&texts=cake"),
        ("", FORM, "text=tea&source=a&source=b"),
        ("?source=a&source=b", JSON, {"text": "tea", "rows": [{"text": "a"}, {"text": "a"}]}),
        ("?top_k=1", JSON, {"text": "tea", "top_k": 2}),
    ],
)
def test_everything_else_is_taken(query: str, kind: str, body: Any) -> None:
    """Several texts, names that mean nothing here, and an option of the body, which takes precedence over the query string's."""
    data = body if isinstance(body, str) else json.dumps(body)
    assert client().post("/classify" + query, data=data, content_type=kind).status_code == 200
