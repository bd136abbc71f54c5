"""The OpenAPI document's schemas of requests take what the server takes, and nothing that it refuses."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.support.inprocess import client
from tests.unit.test_pairs import logits, model, tensor
from vaccel_common.modelfile import Pairs

CLASSIFY, INFER, EVENT = "/classify", "/v2/models/{name}/infer", "/"
KINDS = {CLASSIFY: "application/json", INFER: "application/json", EVENT: "application/cloudevents+json"}
PAIR = {"text": "tea", "text_pair": "cake"}
HEAD = {"specversion": "1.0", "id": "1", "source": "/me", "type": "t"}
ITEM = {"errors": "item"}
ALL: tuple[Pairs, ...] = ("refused", "allowed", "required")


@lru_cache
def served(pairs: Pairs) -> tuple[Any, Any]:
    """A function whose model states ``pairs``, and its document."""
    function = client(logits, model(pairs))
    return function, function.get("/openapi.json", buffered=True).json


def fits(document: Any, path: str, body: Any) -> bool:
    content = document["paths"][path]["post"]["requestBody"]["content"][KINDS[path]]
    return bool(Draft202012Validator({**content["schema"], "components": document["components"]}).is_valid(body))


@pytest.mark.parametrize(
    ("path", "body", "taking"),
    [
        (CLASSIFY, {"text": "tea"}, "refused allowed"),
        (CLASSIFY, {"text": "tea", "text_pair": None, "id": 5}, "refused allowed"),
        (CLASSIFY, PAIR, "allowed required"),
        (CLASSIFY, {"text": "tea", "text_pair": ""}, ""),
        (CLASSIFY, {"text": ""}, ""),
        (CLASSIFY, {"texts": [{"text": "tea", "id": 5}]}, "refused allowed"),
        (CLASSIFY, {"texts": [{"text": "tea", "text_pair": None}, "tea"]}, "refused allowed"),
        (CLASSIFY, {"texts": [{**PAIR, "id": 5}]}, "allowed required"),
        (CLASSIFY, {"texts": [{"text": "tea", "top_k": 1}]}, ""),
        (CLASSIFY, {"texts": ["tea"] * 5}, ""),
        (CLASSIFY, {"texts": ["tea", "", 5, PAIR], "errors": "item"}, "refused allowed required"),
        (INFER, {"inputs": [tensor("text", "tea")]}, "refused allowed"),
        (INFER, {"inputs": [tensor("text", "tea")], "id": None, "parameters": None, "outputs": None}, "refused allowed"),
        (INFER, {"inputs": [tensor("text", shape=[2, 1], data=[["tea"], ["cake"]])]}, "refused allowed"),
        (INFER, {"inputs": [tensor("text", "tea"), tensor("text_pair", "cake")]}, "allowed required"),
        (INFER, {"inputs": [tensor("text_pair", "cake"), tensor("text", "tea")]}, "allowed required"),
        (INFER, {"inputs": [tensor("text_pair", "cake")]}, ""),
        (INFER, {"inputs": [tensor("text", "tea"), tensor("text", "tea")]}, ""),
        (INFER, {"inputs": [tensor("text", "tea", "")]}, ""),
        (INFER, {"inputs": [tensor("text", "tea", "")], "parameters": {"errors": "request"}}, ""),
        (
            INFER,
            {"inputs": [tensor("text", "tea", "")], "parameters": {"errors": "item", "top_k": 1}},
            "refused allowed required",
        ),
        (INFER, {"inputs": [tensor("text_pair", ""), tensor("text", "tea")], "parameters": ITEM}, "refused allowed required"),
        (INFER, {"inputs": [tensor("text", *["tea"] * 5)], "parameters": ITEM}, ""),
        (EVENT, {**HEAD, "data": {"text": "tea"}}, "refused allowed"),
        (EVENT, {**HEAD, "data": PAIR, "datacontenttype": "application/json; charset=utf-8"}, "allowed required"),
        (EVENT, {**HEAD, "data": {"texts": ["tea", ""], "errors": "item"}, "subject": None}, "refused allowed required"),
        (EVENT, {**HEAD, "data": {"text": "tea"}, "datacontenttype": "application/vnd.tea+json"}, "refused allowed"),
        (EVENT, {**HEAD, "data": "tea", "datacontenttype": "text/plain"}, "refused allowed"),
        (EVENT, {**HEAD, "data": "tea", "datacontenttype": "text/plain; charset=utf-8"}, "refused allowed"),
        (EVENT, {**HEAD, "data_base64": "eyJ0ZXh0IjogInRlYSJ9", "data": None}, "refused allowed"),
        (EVENT, {**HEAD, "data": "tea"}, ""),
        (EVENT, {**HEAD, "data": {"text": "tea"}, "datacontenttype": "application/xml"}, ""),
        (EVENT, {**HEAD, "data": {"text": "tea"}, "datacontenttype": "text/plain"}, ""),
        (EVENT, {**HEAD, "data": {"text": "tea"}, "data_base64": "dGVh"}, ""),
        (EVENT, {**HEAD}, ""),
    ],
)
def test_the_schema_says_what_the_server_takes(path: str, body: Any, taking: str) -> None:
    """By models that take single texts, both, or pairs: 200 for what fits, an error for what does not."""
    for pairs in ALL:
        function, document = served(pairs)
        answer = function.post(path.replace("{name}", "tweets"), data=json.dumps(body), content_type=KINDS[path], buffered=True)
        right = pairs in taking.split()
        assert (answer.status_code == 200) == right, (pairs, answer.text)
        # What is in base64 a schema cannot say.
        assert fits(document, path, body) == right or "data_base64" in body, pairs


def test_inference_takes_binary_data() -> None:
    """The document lists its content type."""
    content = served("refused")[1]["paths"][INFER]["post"]["requestBody"]["content"]
    assert {*content} == {"application/json", "application/octet-stream"}
