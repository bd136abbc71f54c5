"""Users whose unit of work is one HTTP request and its response."""

from __future__ import annotations

import json
import random
import struct
import uuid
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from locust import between, constant_pacing, tag, task

from function.core.texts import Pair, Text
from loadtests.answers import WrongAnswer, parsed
from loadtests.base import JSON, HttpTextUser
from loadtests.texts import fields

_BATCH = 16
_EVENT = "dev.vaccel.classification"
_HEAD_LENGTH = "Inference-Header-Content-Length"


class SingleTexts(HttpTextUser):
    """A person who sends one text, as JSON or plain, thinks, and sends the next."""

    weight = 8

    def wait_time(self) -> float:
        """Exponentially distributed, ``--think`` seconds on average."""
        return random.expovariate(1 / self.options.think) if self.options.think else 0.0

    @tag("http", "single")
    @task(3)
    def as_json(self) -> None:
        """One text in JSON."""
        (text,) = self.sample(1)
        body = json.dumps(fields(text)).encode()
        self.post("one text", "/classify", body, JSON, lambda response: self.checker.one(text, response.content))

    @tag("http", "single", "plain")
    @task
    def as_plain_text(self) -> None:
        """One text as the whole body; a pair, which no plain text is, as a form."""
        (text,) = self.sample(1)
        if isinstance(text, Pair):
            name, kind, body = "one pair, form", "application/x-www-form-urlencoded", urlencode(fields(text)).encode()
        else:
            name, kind, body = "one text, plain", "text/plain; charset=utf-8", text.encode()
        self.post(name, "/classify", body, {"Content-Type": kind}, lambda response: self.checker.one(text, response.content))


class BatchUsers(HttpTextUser):
    """A program with many texts, which sends 16 in a request."""

    weight = 2
    wait_time = between(0.5, 2)

    @tag("http", "batch")
    @task
    def batch(self) -> None:
        """16 texts in JSON."""
        texts = self.sample(_BATCH)
        body = json.dumps({"texts": [fields(text) if isinstance(text, Pair) else text for text in texts]}).encode()
        self.post(f"{_BATCH} texts", "/classify", body, JSON, lambda response: self.checker.many(texts, response.content))


class CloudEventSource(HttpTextUser):
    """A broker's trigger: one event a second, answered by an event."""

    weight = 2
    wait_time = constant_pacing(1)

    @tag("http", "events", "binary")
    @task
    def binary(self) -> None:
        """Binary mode: attributes in headers, a text as data."""
        (text,), number = self.sample(1), str(uuid.uuid4())
        headers = {f"ce-{name}": value for name, value in _attributes(number).items()}

        def check(response: Any) -> None:
            attributes = {name: response.headers.get(f"ce-{name}") for name in ("type", "causationid")}
            _check_event(attributes, number)
            self.checker.one(text, response.content)

        self.post("event, binary", "/", json.dumps(fields(text)).encode(), {**headers, **JSON}, check)

    @tag("http", "events", "structured")
    @task
    def structured(self) -> None:
        """Structured mode: one JSON object with attributes and data."""
        (text,), number = self.sample(1), str(uuid.uuid4())
        event = {**_attributes(number), "datacontenttype": "application/json", "data": fields(text)}

        def check(response: Any) -> None:
            answer = parsed(response.content)
            _check_event(answer, number)
            self.checker.one(text, json.dumps(answer.get("data")))

        headers = {"Content-Type": "application/cloudevents+json"}
        self.post("event, structured", "/", json.dumps(event).encode(), headers, check)


class V2Client(HttpTextUser):
    """A client of the Open Inference Protocol, which KServe and Triton speak too."""

    weight = 2
    wait_time = between(0.2, 1)

    @tag("http", "v2", "json")
    @task(3)
    def as_json(self) -> None:
        """One to four texts, with JSON in both directions."""
        texts = self._alike()
        request = _request(texts, [{"data": column} for column in _columns(texts)], binary=False)
        self.post(
            "v2 infer",
            self._path,
            json.dumps(request).encode(),
            JSON,
            lambda response: self.checker.inference(texts, response.content),
        )

    @tag("http", "v2", "binary")
    @task
    def as_binary(self) -> None:
        """One to four texts, with the binary tensor data extension in both directions."""
        texts = self._alike()
        data = [_packed(column) for column in _columns(texts)]
        tensors = [{"parameters": {"binary_data_size": len(part)}} for part in data]
        head = json.dumps(_request(texts, tensors, binary=True)).encode()

        def check(response: Any) -> None:
            length = response.headers.get(_HEAD_LENGTH, "")
            if not length.isdigit():
                raise WrongAnswer(f"a binary answer has no {_HEAD_LENGTH}")
            self.checker.inference(texts, response.content[: int(length)], response.content[int(length) :])

        headers = {"Content-Type": "application/octet-stream", _HEAD_LENGTH: str(len(head))}
        self.post("v2 infer, binary", self._path, b"".join([head, *data]), headers, check)

    def _alike(self) -> list[Text]:
        """One to four texts, or as many pairs: the tensors of a request are equally long."""
        first, *others = self.sample(random.randint(1, 4))  # noqa: S311 not a secret
        return [first, *(text for text in others if isinstance(text, Pair) == isinstance(first, Pair))]

    @property
    def _path(self) -> str:
        return f"/v2/models/{self.options.model}/infer"


def _attributes(number: str) -> dict[str, str]:
    return {"specversion": "1.0", "id": number, "source": "/loadtests", "type": "org.example.text"}


def _check_event(attributes: dict[str, Any], number: str) -> None:
    if attributes.get("type") != _EVENT:
        raise WrongAnswer(f"the answer is not an event of type {_EVENT}")
    if attributes.get("causationid") != number:
        raise WrongAnswer("the answer is to another event: its causationid is not the request's id")


def _columns(texts: Sequence[Text]) -> list[list[str]]:
    """The texts, and where they are pairs the second ones."""
    return [list(column) for column in zip(*(fields(text).values() for text in texts), strict=True)]


def _packed(column: Sequence[str]) -> bytes:
    return b"".join(struct.pack("<I", len(text)) + text for text in map(str.encode, column))


def _request(texts: Sequence[Text], tensors: Sequence[dict[str, Any]], *, binary: bool) -> dict[str, Any]:
    """``tensors``: of the texts and, where they are pairs, of the second ones."""
    common = {"datatype": "BYTES", "shape": [len(texts)]}
    return {
        "inputs": [{"name": name, **common, **tensor} for name, tensor in zip(Pair._fields, tensors, strict=False)],
        "outputs": [{"name": name} for name in ("label", "scores", "tokens")],
        "parameters": {"binary_data_output": binary},
    }
