"""CloudEvents over HTTP, made and read by the CloudEvents library and by hand."""

from __future__ import annotations

import base64
import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from cloudevents.v1.conversion import to_binary, to_structured
from cloudevents.v1.http import CloudEvent, from_http
from werkzeug.test import Client

from function.telemetry.access import Access
from function.web.app import create_app
from tests.support.functions import start
from tests.support.inprocess import service
from tests.support.servers import ServerProcess

EVENT = {"specversion": "1.0", "id": "e-1", "source": "/tests", "type": "org.example.text"}
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


#: What the fixture ``function`` sets for the tests of this module.
FUNCTION_ENV = {"K_SERVICE": "classifier"}


def send(server: ServerProcess, headers: dict[str, str], body: str | bytes) -> requests.Response:
    return requests.post(server.addresses["http"] + "/", data=body, headers=headers, timeout=20)


@pytest.mark.parametrize("form", [to_binary, to_structured])
@pytest.mark.parametrize("data", [{"text": "good morning"}, {"texts": ["good morning", "tea"]}])
def test_an_event_is_answered_with_an_event(function: ServerProcess, form: Any, data: dict[str, Any]) -> None:
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
    result = event.get_data()
    for prediction, expected in zip(result.get("predictions", [result]), plain.get("predictions", [plain]), strict=True):
        assert prediction["scores"] == pytest.approx(expected["scores"], abs=1e-4)
    again = from_http(dict((second := send(function, headers, body)).headers), second.content)
    assert again["id"] != event["id"]


def test_subjects_and_ids_of_any_script(function: ServerProcess) -> None:
    """What a header cannot hold travels percent-encoded in binary form, and as it is in structured form."""
    headers = {"ce-" + name: value for name, value in EVENT.items()} | {"ce-subject": "caf%C3%A9", "Content-Type": "text/plain"}
    answer = send(function, headers, "good morning")
    assert answer.headers["ce-subject"] == "caf%C3%A9"
    event = {**EVENT, "id": "ü 1", "subject": "café", "datacontenttype": "text/plain", "data": "good morning"}
    structured = send(function, {"Content-Type": "application/cloudevents+json"}, json.dumps(event)).json()
    assert (structured["subject"], structured["causationid"]) == ("café", "ü 1")


def test_data_as_text_and_as_base64(function: ServerProcess) -> None:
    """An event's data may be plain text or base64."""
    event = {**EVENT, "datacontenttype": "text/plain", "data_base64": "Z29vZCBtb3JuaW5n"}
    answer = send(function, {"Content-Type": "application/cloudevents+json"}, json.dumps(event)).json()
    assert answer["data"]["tokens"] == 4


#: A header's value, the attribute that it stands for (the specification's own examples among them), and how we write that.
QUOTED = [
    (b"plain", "plain", "plain"),
    (b"Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro \u20ac \U0001f600", "Euro%20%E2%82%AC%20%F0%9F%98%80"),
    (b'"a \\"quoted\\" \\\\ word"', 'a "quoted" \\ word', "a%20%22quoted%22%20\\%20word"),
    (b'"caf%C3%A9 %2525"', "caf\u00e9 %25", "caf%C3%A9%20%2525"),
    (b'"caf\xc3\xa9"', "caf\u00e9", "caf%C3%A9"),
    (b"caf\xc3\xa9 au lait", "caf\u00e9 au lait", "caf%C3%A9%20au%20lait"),
    (b"100%", "100%", "100%25"),
    (b"%zz%C3%A9", "%zz\u00e9", "%25zz%C3%A9"),
    (b'say "hello"', 'say "hello"', "say%20%22hello%22"),
    (b'"unended', '"unended', "%22unended"),
    (b"tab%09%0D%0A%7f", "tab\t\r\n\x7f", "tab%09%0D%0A%7F"),
    (
        b"'single' ~!#$&()*+,-./:;<=>?@[]^_`{|}",
        "'single' ~!#$&()*+,-./:;<=>?@[]^_`{|}",
        "'single'%20~!#$&()*+,-./:;<=>?@[]^_`{|}",
    ),
]


@pytest.mark.parametrize(
    ("sent", "value", "answered"), QUOTED, ids=[value.encode("unicode_escape").decode() for _, value, _ in QUOTED]
)
def test_header_values_are_read_and_written_as_the_binding_says(
    function: ServerProcess, sent: bytes, value: str, answered: str
) -> None:
    """Unquoted, then percent-decoded once; ours are percent-encoded, no more than must be (CloudEvents HTTP 1.0.2, 3.1.3.2)."""
    headers: dict[str, Any] = {**BINARY, "ce-subject": sent, "ce-id": sent}
    answer = send(function, headers, json.dumps({"text": "good morning"}))
    assert answer.status_code == 200
    assert (answer.headers["ce-subject"], answer.headers["ce-causationid"]) == (answered, answered)
    event = {**EVENT, "id": value, "subject": value, "data": {"text": "good morning"}}
    structured = send(function, {"Content-Type": "application/cloudevents+json"}, json.dumps(event)).json()
    assert (structured["subject"], structured["causationid"]) == (value, value)


@pytest.mark.parametrize("sent", [b"%ff", b"%C3", b"caf\xe9", b'"\xff"', b"%ED%A0%80"])
@pytest.mark.parametrize("name", ["ce-subject", "ce-id", "ce-anything"])
def test_a_header_that_is_not_utf8_is_400(function: ServerProcess, name: str, sent: bytes) -> None:
    """The problem names the header that is not UTF-8."""
    headers: dict[str, Any] = {**BINARY, name: sent}
    answer = send(function, headers, json.dumps({"text": "good morning"}))
    assert answer.status_code == 400
    assert name in answer.json()["detail"]


def test_our_source_is_encoded_too() -> None:
    """EVENT_SOURCE may be of any script."""
    named = replace(service(), source="/caf\u00e9 1")
    application: Any = Client(create_app(named, Access(named)))
    answer = application.post("/", data='{"text": "tea"}', headers=BINARY)
    assert answer.headers["ce-source"] == "/caf%C3%A9%201"
    event = {**EVENT, "data": {"text": "tea"}}
    assert (
        application.post("/", json=event, headers={"Content-Type": "application/cloudevents+json"}).json["source"]
        == "/caf\u00e9 1"
    )


@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-1", "utf-16", "windows-1252"])
def test_a_text_has_the_charset_that_it_names(function: ServerProcess, charset: str) -> None:
    """As POST /classify reads it, in binary form and as base64 in structured form."""
    kind, data = f'text/plain; charset="{charset}"', "caf\u00e9 au lait".encode(charset)
    plain = requests.post(function.addresses["http"] + "/classify", data=data, headers={"Content-Type": kind}, timeout=20).json()
    binary = send(function, {**BINARY, "Content-Type": kind}, data).json()
    event = {**EVENT, "datacontenttype": kind, "data_base64": base64.b64encode(data).decode()}
    structured = send(function, {"Content-Type": "application/cloudevents+json"}, json.dumps(event)).json()["data"]
    for answer in (binary, structured):
        assert answer["scores"] == pytest.approx(plain["scores"], abs=1e-4)
        assert answer["tokens"] == plain["tokens"] == 6


def test_a_charset_that_nobody_knows_is_415(function: ServerProcess) -> None:
    """An unknown charset is refused as it is by POST /classify."""
    kind = "text/plain; charset=klingon"
    event = {**EVENT, "datacontenttype": kind, "data_base64": "Z29vZA=="}
    answers = [
        send(function, {**BINARY, "Content-Type": kind}, "tea"),
        send(function, {"Content-Type": "application/cloudevents+json"}, json.dumps(event)),
    ]
    assert [answer.status_code for answer in answers] == [415, 415]
    assert all("unknown charset 'klingon'" in answer.json()["detail"] for answer in answers)


def test_marks_and_packing_change_nothing(function: ServerProcess) -> None:
    """A byte order mark before the event or its data; gzip around it."""
    event = "\ufeff" + json.dumps({**EVENT, "data": {"text": "good morning"}})
    headers = {"Content-Type": "application/cloudevents+json", "Content-Encoding": "gzip"}
    assert send(function, headers, gzip.compress(event.encode())).json()["data"]["tokens"] == 4
    assert send(function, BINARY, '\ufeff{"text": "good morning"}'.encode()).json()["tokens"] == 4


BINARY = {"ce-" + name: value for name, value in EVENT.items()} | {"Content-Type": "application/json"}
BAD: list[tuple[dict[str, str], Any, int, str]] = [
    ({**BINARY, "ce-specversion": "0.3"}, {"text": "a"}, 400, "specversion must be 1.0, not 0.3"),
    ({name: value for name, value in BINARY.items() if name != "ce-specversion"}, {"text": "a"}, 400, "specversion"),
    ({name: value for name, value in BINARY.items() if name != "ce-source"}, {"text": "a"}, 400, "source"),
    ({**BINARY, "ce-id": ""}, {"text": "a"}, 400, "id"),
    (BINARY, {}, 400, '"text"'),
    (BINARY, b'{"text": "a", "top_k": 1e400}', 400, '"top_k" is out of range'),
    (BINARY, b'{"text": "a", "threshold": NaN}', 400, '"threshold" is NaN'),
    (BINARY, {"text": "a", "topk": 1}, 400, 'did you mean "top_k"'),
    (BINARY, b'{"text"', 400, "the event's data is not valid JSON"),
    (
        {"Content-Type": "application/cloudevents+json"},
        b'{"specversion": "1.0", "data": {"threshold": 1e400}}',
        400,
        '"data.threshold"',
    ),
    ({"Content-Type": "application/cloudevents+json"}, b"{", 400, "the event is not valid JSON"),
    (BINARY, {"text": 7}, 400, "must be a string"),
    (BINARY, {"text": "a", "truncation": "middle"}, 400, "truncation"),
    (
        {**BINARY, "Content-Type": "application/xml"},
        {"text": "a"},
        400,
        "datacontenttype must be application/json or text/plain, not app",
    ),
    ({**BINARY, "Content-Type": "application/xml"}, b"<a/>", 400, "text/plain, not application/xml"),
    ({**BINARY, "Content-Type": "application/x-www-form-urlencoded"}, b"text=a", 400, "datacontenttype must be"),
    ({**BINARY, "Content-Type": "application/json; charset=utf-16"}, b'{"text": "a"}', 415, "the charset must be UTF-8"),
    ({"Content-Type": "application/cloudevents+json; charset=utf-16"}, EVENT, 415, "not utf-16"),
    (
        {"Content-Type": "application/cloudevents+json"},
        {**EVENT, "datacontenttype": "text/plain", "data": {"text": "a"}},
        400,
        "a string where",
    ),
    (
        {"Content-Type": "application/cloudevents+json"},
        {**EVENT, "data_base64": 7},
        400,
        "data_base64 must be a string of base64",
    ),
    ({"Content-Type": "application/cloudevents+json"}, [1], 400, "object"),
    ({"Content-Type": "application/cloudevents+json"}, {**EVENT, "type": 7, "data": {"text": "a"}}, 400, "type"),
    ({"Content-Type": "application/cloudevents+json"}, EVENT, 400, "no data"),
    ({"Content-Type": "application/cloudevents+json"}, {**EVENT, "data_base64": "*"}, 400, "data_base64"),
    ({"Content-Type": "application/cloudevents-batch+json"}, [EVENT], 415, "one event"),
]


@pytest.mark.parametrize(("headers", "body", "status", "says"), BAD, ids=[says for _, _, _, says in BAD])
def test_what_will_never_succeed_is_4xx(
    function: ServerProcess, headers: dict[str, str], body: Any, status: int, says: str
) -> None:
    """A wrong event is refused once and for all, with what is missing: no broker sends it again."""
    answer = send(function, headers, body if isinstance(body, bytes) else json.dumps(body))
    assert answer.status_code == status
    assert says in answer.json()["detail"]


def test_what_may_succeed_later_is_503(tmp_path: Path) -> None:
    """An agent that is away is worth another delivery."""
    server = start(tmp_path, f"unix://{tmp_path}/none.sock", AGENT_WAIT_S="0")
    try:
        answer = send(server, BINARY, json.dumps({"text": "good morning"}))
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) >= 1
    finally:
        assert server.stop() == 0
