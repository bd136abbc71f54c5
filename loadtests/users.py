"""Users of the function's ways in that are a request and its answer."""

from __future__ import annotations

import json
import random
import struct
import uuid
from collections.abc import Sequence
from typing import Any

from locust import between, constant_pacing, tag, task

from loadtests.answers import WrongAnswer, parsed
from loadtests.base import JSON, HttpTextUser

_BATCH = 16
_EVENT = "dev.vaccel.classification"
_HEAD_LENGTH = "Inference-Header-Content-Length"


class SingleTexts(HttpTextUser):
    """A person: one text, as JSON or plain, some thought, the next."""

    weight = 8

    def wait_time(self) -> float:
        """As chance has it, ``--think`` seconds on average."""
        return random.expovariate(1 / self.options.think) if self.options.think else 0.0

    @tag("http", "single")
    @task(3)
    def as_json(self) -> None:
        """A text in JSON."""
        (text,) = self.some(1)
        body = json.dumps({"text": text}).encode()
        self.ask("one text", "/classify", body, JSON, lambda answer: self.judge.one(text, answer.content))

    @tag("http", "single", "plain")
    @task
    def as_plain_text(self) -> None:
        """A text alone."""
        (text,) = self.some(1)
        headers = {"Content-Type": "text/plain; charset=utf-8"}
        self.ask("one text, plain", "/classify", text.encode(), headers, lambda answer: self.judge.one(text, answer.content))


class BatchUsers(HttpTextUser):
    """A program with many texts to do: 16 in a request."""

    weight = 2
    wait_time = between(0.5, 2)

    @tag("http", "batch")
    @task
    def batch(self) -> None:
        """16 texts."""
        chosen = self.some(_BATCH)
        body = json.dumps({"texts": chosen}).encode()
        self.ask(f"{_BATCH} texts", "/classify", body, JSON, lambda answer: self.judge.many(chosen, answer.content))


class CloudEventSource(HttpTextUser):
    """A broker's trigger: an event a second, answered by an event."""

    weight = 2
    wait_time = constant_pacing(1)

    @tag("http", "events", "binary")
    @task
    def binary(self) -> None:
        """Attributes in headers, a text as data."""
        (text,), number = self.some(1), str(uuid.uuid4())
        headers = {f"ce-{name}": value for name, value in _attributes(number).items()}

        def check(answer: Any) -> None:
            got = {name: answer.headers.get(f"ce-{name}") for name in ("type", "causationid")}
            _check_event(got, number)
            self.judge.one(text, answer.content)

        self.ask("event, binary", "/", json.dumps({"text": text}).encode(), {**headers, **JSON}, check)

    @tag("http", "events", "structured")
    @task
    def structured(self) -> None:
        """One JSON object with attributes and data."""
        (text,), number = self.some(1), str(uuid.uuid4())
        event = {**_attributes(number), "datacontenttype": "application/json", "data": {"text": text}}

        def check(answer: Any) -> None:
            got = parsed(answer.content)
            _check_event(got, number)
            self.judge.one(text, json.dumps(got.get("data")))

        headers = {"Content-Type": "application/cloudevents+json"}
        self.ask("event, structured", "/", json.dumps(event).encode(), headers, check)


class V2Client(HttpTextUser):
    """A client of the Open Inference Protocol, as KServe's and Triton's are."""

    weight = 2
    wait_time = between(0.2, 1)

    @tag("http", "v2", "json")
    @task(3)
    def as_json(self) -> None:
        """One to four texts, in JSON both ways."""
        chosen = self.some(random.randint(1, 4))  # noqa: S311 no secret
        request = _request(chosen, {"data": chosen}, binary=False)
        self.ask(
            "v2 infer",
            self._path,
            json.dumps(request).encode(),
            JSON,
            lambda answer: self.judge.inference(chosen, answer.content),
        )

    @tag("http", "v2", "binary")
    @task
    def as_binary(self) -> None:
        """The same with the binary tensor data extension."""
        chosen = self.some(random.randint(1, 4))  # noqa: S311 no secret
        data = b"".join(struct.pack("<I", len(text)) + text for text in (one.encode() for one in chosen))
        head = json.dumps(_request(chosen, {"parameters": {"binary_data_size": len(data)}}, binary=True)).encode()

        def check(answer: Any) -> None:
            length = answer.headers.get(_HEAD_LENGTH, "")
            if not length.isdigit():
                raise WrongAnswer(f"a binary answer has no {_HEAD_LENGTH}")
            self.judge.inference(chosen, answer.content[: int(length)], answer.content[int(length) :])

        headers = {"Content-Type": "application/octet-stream", _HEAD_LENGTH: str(len(head))}
        self.ask("v2 infer, binary", self._path, head + data, headers, check)

    @property
    def _path(self) -> str:
        return f"/v2/models/{self.options.model}/infer"


def _attributes(number: str) -> dict[str, str]:
    return {"specversion": "1.0", "id": number, "source": "/loadtests", "type": "org.example.text"}


def _check_event(got: dict[str, Any], number: str) -> None:
    if got.get("type") != _EVENT:
        raise WrongAnswer(f"the answer is no event of type {_EVENT}")
    if got.get("causationid") != number:
        raise WrongAnswer("the answer is to another event: its causationid is not the request's id")


def _request(chosen: Sequence[str], tensor: dict[str, Any], *, binary: bool) -> dict[str, Any]:
    return {
        "inputs": [{"name": "text", "datatype": "BYTES", "shape": [len(chosen)], **tensor}],
        "outputs": [{"name": name} for name in ("label", "scores", "tokens")],
        "parameters": {"binary_data_output": binary},
    }
