"""One table of requests over the three runtimes, each a real process: our server, func-python, parliament."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

from tests.support.badrequests import BAD
from tests.support.paths import ROOT
from tests.support.runtimes import command_of, start
from tests.support.servers import ServerProcess

RUNTIMES = ("server", "func", "parliament")
TEXT = "What a lovely day for a walk"
CE = {"ce-specversion": "1.0", "ce-id": "7", "ce-source": "/tests", "ce-type": "org.example.text", "ce-subject": "s"}
STRUCTURED = {"specversion": "1.0", "id": "7", "source": "/tests", "type": "org.example.text", "subject": "s"}
INFER = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": [TEXT]}], "id": "q"}
BINARY_HEAD = json.dumps(
    {
        "inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 4 + len(TEXT)}}],
        "parameters": {"binary_data_output": True},
    }
).encode()
BINARY = BINARY_HEAD + struct.pack("<I", len(TEXT)) + TEXT.encode()

#: What parliament cannot serve: it has ``/`` alone, and health routes of its own.
OTHER_PATHS = "parliament serves / alone"
#: Bytes of a body that parliament's server refuses itself.
MUCH_TOO_LARGE = 2 << 20


@dataclass(frozen=True)
class RuntimeCase:
    name: str
    path: str
    body: bytes | None
    headers: dict[str, str]
    status: int
    kind: str
    check: Callable[[requests.Response], bool] = lambda _: True
    not_on: dict[str, str] = field(default_factory=dict)


def posted(
    name: str, body: Any, kind: str, check: Callable[[requests.Response], bool], *, path: str = "/", answer: str = "application/json",
    headers: dict[str, str] | None = None, status: int = 200,
) -> RuntimeCase:  # fmt: skip
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {**(headers or {}), **({"Content-Type": kind} if kind else {})}
    return RuntimeCase(
        name, path, data, sent, status, answer, check, {} if path.split("?")[0] == "/" else {"parliament": OTHER_PATHS}
    )


def label(answer: requests.Response) -> bool:
    return bool(answer.json()["label"] == "neither" and answer.json()["tokens"] == 9)


CASES = [
    posted("one", {"text": TEXT}, "application/json", label),
    posted("one on /classify", {"text": TEXT}, "application/json", label, path="/classify"),
    posted("many", {"texts": [TEXT, "tea"]}, "application/json", lambda a: [p["tokens"] for p in a.json()["predictions"]] == [9, 3]),
    posted("plain text", TEXT.encode(), "text/plain", label),
    posted("form", ("text=" + TEXT.replace(" ", "+")).encode(), "application/x-www-form-urlencoded", label),
    posted("options in the query", TEXT.encode(), "text/plain", lambda a: len(a.json()["scores"]) == 1, path="/?top_k=1"),
    posted(
        "an error for one item", {"texts": [TEXT, ""], "errors": "item"}, "application/json",
        lambda a: a.json()["predictions"][1]["error"]["status"] == 422,
    ),
    posted(
        "lines", json.dumps({"id": 1, "text": TEXT}).encode() + b"\nx\n", "application/x-ndjson",
        lambda a: [("label" in json.loads(line)) for line in a.content.splitlines()] == [True, False], answer="application/x-ndjson",
    ),
    posted(
        "event, binary", {"text": TEXT}, "application/json",
        lambda a: label(a) and a.headers["ce-type"] == "dev.vaccel.classification" and a.headers["ce-causationid"] == "7", headers=CE,
    ),
    posted(
        "event, structured", {**STRUCTURED, "data": {"text": TEXT}}, "application/cloudevents+json",
        lambda a: a.json()["data"]["label"] == "neither" and a.json()["subject"] == "s", answer="application/cloudevents+json",
    ),
    posted(
        "event of another version", {"text": TEXT}, "application/json", lambda a: "1.0" in a.json()["detail"],
        headers={**CE, "ce-specversion": "0.1"}, status=400, answer="application/problem+json",
    ),
    posted("inference", INFER, "application/json", lambda a: a.json()["id"] == "q" and a.json()["outputs"][0]["data"] == ["neither"],
           path="/v2/models/tweets/infer"),
    posted("inference, binary", BINARY, "", lambda a: b"neither" in a.content, path="/v2/models/tweets/infer",
           headers={"Inference-Header-Content-Length": str(len(BINARY_HEAD))}, answer="application/octet-stream"),
    posted("inference, wrong model", INFER, "", lambda a: "nope" in a.json()["error"], path="/v2/models/nope/infer", status=404),
    RuntimeCase("about", "/", None, {"Accept": "application/json"}, 200, "application/json", lambda a: a.json()["model"]["name"] == "tweets"),
    RuntimeCase("ready", "/health/readiness", None, {}, 200, "", lambda _: True),
    RuntimeCase("alive", "/health/liveness", None, {}, 200, "", lambda _: True),
    RuntimeCase("metrics", "/metrics", None, {}, 200, "text/plain", lambda a: "function_requests_total" in a.text, {"parliament": OTHER_PATHS}),
    RuntimeCase("no route", "/nothing", None, {}, 404, "application/problem+json", lambda _: True, {"parliament": OTHER_PATHS}),
    *(
        posted(f"{status} {says}", body, kind, lambda a, says=says: says in a.json()["detail"], status=status, answer="application/problem+json")  # type: ignore[misc]
        for body, kind, status, says in BAD
    ),
]  # fmt: skip


@pytest.fixture(scope="module", params=RUNTIMES)
def runtime(
    request: pytest.FixtureRequest, agent: ServerProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, ServerProcess]]:
    """A runtime's name, and the function under it."""
    server = start(request.param, tmp_path_factory.mktemp(request.param), agent.addresses["unix"])
    yield request.param, server
    assert server.stop(signal.SIGTERM) == 0, server.text
    assert "Traceback" not in server.text


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_contract(runtime: tuple[str, ServerProcess], case: RuntimeCase) -> None:
    """The same request has the same answer under each runtime that can serve it."""
    name, server = runtime
    if name in case.not_on:
        assert requests.get(server.addresses["http"] + case.path, timeout=10).status_code == 404, (
            "it can by now: correct the table"
        )
        return
    url = server.addresses["http"] + case.path
    if case.body is None:
        answer = requests.get(url, headers=case.headers, timeout=20)
    else:
        answer = requests.post(url, data=case.body, headers=case.headers, timeout=30)
    assert answer.status_code == case.status, answer.text
    if name == "parliament" and len(case.body or b"") > MUCH_TOO_LARGE:
        return  # waitress's own answer
    assert answer.headers.get("Content-Type", "").split(";")[0].startswith(case.kind)
    assert case.check(answer), answer.text


@pytest.mark.parametrize("runtime_name", ["func", "parliament"])
def test_a_wrong_setting_is_one_line(runtime_name: str) -> None:
    """Each runtime ends with a line that names the variable, and no traceback."""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "LISTEN_ADDRESS": "127.0.0.1:0", "MAX_TEXTS": "none"}
    done = subprocess.run(command_of(runtime_name, 0), cwd=ROOT, env=env, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode != 0
    assert "MAX_TEXTS=none" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_import_of_the_handlers_module_assembles_nothing() -> None:
    """Without a model or an agent, and with a wrong setting, `function.func` can be imported; its handler cannot be taken."""
    script = "import function.func as func\nprint('imported')\nfunc.main"
    env = {**os.environ, "PYTHONPATH": str(ROOT), "THREADS": "none"}
    run = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True)
    assert run.stdout == "imported\n"
    assert run.stderr == "function: THREADS=none: a whole number from 1 to 1024 is needed\n"
    assert run.returncode == 1
