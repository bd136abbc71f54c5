"""CloudEvents over HTTP, made and read by the CloudEvents library and by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from cloudevents.v1.conversion import to_binary, to_structured
from cloudevents.v1.http import CloudEvent, from_http

from tests.conftest import Server
from tests.test_function import start, wait_until_ready

EVENT = {"specversion": "1.0", "id": "e-1", "source": "/tests", "type": "org.example.text"}
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(scope="module")
def function(agent: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start(tmp_path_factory.mktemp("events"), agent.addresses["unix"], K_SERVICE="classifier")
    wait_until_ready(server)
    yield server
    assert server.stop() == 0


def send(server: Server, headers: dict[str, str], body: str | bytes) -> requests.Response:
    return requests.post(server.addresses["http"] + "/", data=body, headers=headers, timeout=20)


@pytest.mark.parametrize("form", [to_binary, to_structured])
@pytest.mark.parametrize("data", [{"text": "good morning"}, {"texts": ["good morning", "tea"]}])
def test_an_event_is_answered_with_an_event(function: Server, form: Any, data: dict[str, Any]) -> None:
    """Its own id, type, source; the request's subject, trace and id; the answer of POST /classify as data, in the same form."""
    sent = CloudEvent({**EVENT, "subject": "a line", "traceparent": TRACE, "datacontenttype": "application/json"}, data)
    headers, body = form(sent)
    answer = send(function, headers, body)
    assert answer.status_code == 200
    assert ("ce-id" in answer.headers) == (form is to_binary)
    event = from_http(dict(answer.headers), answer.content)
    assert event["type"] == "dev.vaccel.classification"
    assert event["source"] == "/classifier"
    assert event["id"] not in ("", "e-1")
    assert event["causationid"] == "e-1"
    assert event["traceparent"] == TRACE
    assert event["subject"] == ("a%20line" if form is to_binary else "a line")
    assert event["datacontenttype"] == "application/json"
    plain = requests.post(function.addresses["http"] + "/classify", json=data, timeout=20).json()
    given = event.get_data()
    for one, other in zip(given.get("predictions", [given]), plain.get("predictions", [plain]), strict=True):
        assert one["scores"] == pytest.approx(other["scores"], abs=1e-4)
    again = from_http(dict((second := send(function, headers, body)).headers), second.content)
    assert again["id"] != event["id"]


def test_subjects_and_ids_of_any_script(function: Server) -> None:
    """What a header cannot hold travels percent-encoded in binary form, and as it is in structured form."""
    headers = {"ce-" + name: value for name, value in EVENT.items()} | {"ce-subject": "caf%C3%A9", "Content-Type": "text/plain"}
    answer = send(function, headers, "good morning")
    assert answer.headers["ce-subject"] == "caf%C3%A9"
    event = {**EVENT, "id": "ü 1", "subject": "café", "datacontenttype": "text/plain", "data": "good morning"}
    structured = send(function, {"Content-Type": "application/cloudevents+json"}, json.dumps(event)).json()
    assert (structured["subject"], structured["causationid"]) == ("café", "ü 1")


def test_data_as_text_and_as_base64(function: Server) -> None:
    """data may be plain text, and come encoded."""
    event = {**EVENT, "datacontenttype": "text/plain", "data_base64": "Z29vZCBtb3JuaW5n"}
    answer = send(function, {"Content-Type": "application/cloudevents+json"}, json.dumps(event)).json()
    assert answer["data"]["tokens"] == 4


BINARY = {"ce-" + name: value for name, value in EVENT.items()} | {"Content-Type": "application/json"}
BAD: list[tuple[dict[str, str], Any, int, str]] = [
    ({**BINARY, "ce-specversion": "0.3"}, {"text": "a"}, 400, "specversion must be 1.0, not 0.3"),
    ({name: value for name, value in BINARY.items() if name != "ce-specversion"}, {"text": "a"}, 400, "specversion"),
    ({name: value for name, value in BINARY.items() if name != "ce-source"}, {"text": "a"}, 400, "source"),
    ({**BINARY, "ce-id": ""}, {"text": "a"}, 400, "id"),
    (BINARY, {}, 400, '"text"'),
    (BINARY, {"text": 7}, 400, "must be a string"),
    (BINARY, {"text": "a", "truncation": "middle"}, 400, "truncation"),
    ({**BINARY, "Content-Type": "application/xml"}, {"text": "a"}, 400, "datacontenttype"),
    ({"Content-Type": "application/cloudevents+json"}, [1], 400, "object"),
    ({"Content-Type": "application/cloudevents+json"}, {**EVENT, "type": 7, "data": {"text": "a"}}, 400, "type"),
    ({"Content-Type": "application/cloudevents+json"}, EVENT, 400, "no data"),
    ({"Content-Type": "application/cloudevents+json"}, {**EVENT, "data_base64": "*"}, 400, "data_base64"),
    ({"Content-Type": "application/cloudevents-batch+json"}, [EVENT], 415, "one event"),
]


@pytest.mark.parametrize(("headers", "body", "status", "says"), BAD, ids=[says for _, _, _, says in BAD])
def test_what_will_never_succeed_is_4xx(function: Server, headers: dict[str, str], body: Any, status: int, says: str) -> None:
    """A wrong event is refused once and for all, with what is missing: no broker sends it again."""
    answer = send(function, headers, json.dumps(body))
    assert answer.status_code == status
    assert says in answer.json()["detail"]


def test_what_may_succeed_later_is_503(tmp_path: Path) -> None:
    """An agent that is away is worth another delivery."""
    server = start(tmp_path, f"unix://{tmp_path}/none.sock")
    try:
        answer = send(server, BINARY, json.dumps({"text": "good morning"}))
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) >= 1
    finally:
        assert server.stop() == 0
