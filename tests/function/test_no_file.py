"""The function writes no file under any runtime: it answers every kind of body where nothing can be written."""

from __future__ import annotations

import base64
import gzip
import json
import signal
from collections.abc import Iterator

import pytest
import requests

from tests.support.confined import READ_ONLY, require_confinement
from tests.support.runtimes import start
from tests.support.servers import ServerProcess

MAX_BODY = 1 << 20
FORM = "application/x-www-form-urlencoded"
EVENT = {"specversion": "1.0", "id": "7", "source": "/tests", "type": "org.example.text"}


@pytest.fixture(scope="module", params=["server", "func", "parliament"])
def confined(
    request: pytest.FixtureRequest, agent: ServerProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """A function whose process can write no file."""
    require_confinement()
    folder = tmp_path_factory.mktemp(f"confined-{request.param}")
    # Over TCP: to connect to a unix socket is to write to it.
    more = {"MAX_BODY": str(MAX_BODY), "TMPDIR": "/tmp", "PYTHONDONTWRITEBYTECODE": "1"}
    server = start(request.param, folder, agent.addresses["tcp"], before=READ_ONLY, **more)
    yield server
    assert server.stop(signal.SIGTERM) == 0, server.text
    assert "Traceback" not in server.text


def full(begin: str, end: str = "") -> bytes:
    """A body of exactly MAX_BODY bytes, filled up between its beginning and its end."""
    return f"{begin}{'x' * (MAX_BODY - len(begin) - len(end))}{end}".encode()


def multipart(size: int) -> tuple[bytes, dict[str, str]]:
    """A form with a file of so many bytes."""
    files = {"text": ("big.txt", b"x" * size)}
    prepared = requests.Request("POST", "http://x/", files=files).prepare()
    assert isinstance(prepared.body, bytes)
    return prepared.body, {"Content-Type": prepared.headers["Content-Type"]}


_JSON = full('{"text": "tea", "other": "', '"}')
_DATA = base64.b64encode(b'{"text": "tea", "other": "' + b"x" * (MAX_BODY // 2) + b'"}').decode()
BODIES: dict[str, tuple[bytes, dict[str, str], int]] = {
    "JSON": (_JSON, {"Content-Type": "application/json"}, 200),
    "JSON, compressed": (gzip.compress(_JSON), {"Content-Type": "application/json", "Content-Encoding": "gzip"}, 200),
    "plain text": (full("tea "), {"Content-Type": "text/plain"}, 422),
    "form": (full("text=tea&other="), {"Content-Type": FORM}, 200),
    "form, of many fields": (b"&".join([b"x=y"] * 100_000), {"Content-Type": FORM}, 400),
    "multipart": (*multipart(MAX_BODY - 1000), 415),
    "lines": (b'{"text": "tea"}\n' * 500 + b"x" * 500_000 + b"\n", {"Content-Type": "application/x-ndjson"}, 200),
    "lines, a large response": (b"x\n" * 20_000, {"Content-Type": "application/x-ndjson"}, 200),
    "event, binary": (_JSON, {"Content-Type": "application/json", **{f"ce-{name}": value for name, value in EVENT.items()}}, 200),
    "event, structured": (
        json.dumps({**EVENT, "datacontenttype": "application/json", "data_base64": _DATA}).encode(),
        {"Content-Type": "application/cloudevents+json"},
        200,
    ),
    "too large, a form": (b"text=" + b"x" * (4 * MAX_BODY), {"Content-Type": FORM}, 413),
    "too large, multipart": (*multipart(4 * MAX_BODY), 413),
}


@pytest.mark.parametrize("name", BODIES)
def test_every_body_is_answered(confined: ServerProcess, name: str) -> None:
    """Up to MAX_BODY it stays in memory; beyond that it is refused."""
    body, headers, status = BODIES[name]
    answer = requests.post(confined.addresses["http"] + "/", data=body, headers=headers, timeout=60)
    assert answer.status_code == status, answer.text[:300]


def test_what_it_shows(confined: ServerProcess) -> None:
    """The page."""
    assert requests.get(confined.addresses["http"] + "/", headers={"Accept": "text/html"}, timeout=10).status_code == 200
