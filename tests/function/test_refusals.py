"""What the server refuses is answered in the event loop as the application would answer it."""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.support.servers import ServerProcess
from tests.support.sockets import answers, connect

#: What the fixture ``function`` sets for the tests of this module.
FUNCTION_ENV = {"READ_TIMEOUT_S": "1", "MAX_BODY": "1000", "MAX_BUFFER": "20000", "CORS_ORIGINS": "https://a.example"}

#: A request with this header takes the way of the application.
BY_APPLICATION = b"Origin: https://b.example\r\n"
ROUTES = (b"/classify", b"/v2/models/tweets/infer", b"/", b"/nothing", b"//classify", b"/v2/nothing", b"/classify?top_k=1")
HEAD = b"%s %s HTTP/1.1\r\nHost: x\r\nX-Request-Id: an-id\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
#: What differs between two responses to the same request.
OF_ITS_TIME = ("date", "server-timing")


def refused(function: ServerProcess, head: bytes) -> tuple[int, dict[str, str], bytes]:
    """The response to a request whose body stays away, after which the connection ends."""
    with connect(function) as client:
        client.sendall(head)
        response = answers(client)[0]
        assert client.recv(1) == b""
    return response


@pytest.mark.parametrize("more", [b"", b"Expect: 100-continue\r\n"], ids=["late", "too large"])
def test_a_refusal_is_as_the_applications(function: ServerProcess, more: bytes) -> None:
    """Status, headers and body are the same, for each kind of route, for methods that it has not, and for none."""
    heads = [
        HEAD % (method, route, 100_000 if more else 10) + more
        for route in ROUTES
        for method in (b"POST", b"PUT", b"HEAD", b"PROPFIND")
    ]
    both = [head + other + b"\r\n" for head in heads for other in (b"", BY_APPLICATION)]
    with ThreadPoolExecutor(len(both)) as pool:
        responses = list(pool.map(lambda head: refused(function, head), both))
    for head, direct, other in zip(heads, responses[::2], responses[1::2], strict=True):
        for _, headers, _ in (direct, other):
            assert re.fullmatch(r"total;dur=\d+\.\d\d", headers["server-timing"])
            for name in OF_ITS_TIME:
                del headers[name]
        assert direct == other, head
    statuses = [status for status, _, _ in responses]
    assert statuses[0] == (413 if more else 408)
    assert json.loads(responses[0][2])["status"] == statuses[0]


def test_a_refusal_is_counted_and_logged(function: ServerProcess) -> None:
    """By its route's pattern, with a line of its own that has the client's id, or a new one where that is not valid."""
    for sent, logged in ((b"a-late-one", "a-late-one"), (b"a b", "[0-9a-f]{32}")):
        head = HEAD.replace(b"an-id", sent) % (b"POST", b"/v2/models/other/infer", 10)
        _, headers, _ = refused(function, head + b"\r\n")
        assert re.fullmatch(logged, headers["x-request-id"])
        function.wait_for(rf"method=POST path=/v2/models/other/infer status=408 request_id={headers['x-request-id']}")
    metrics = requests.get(function.addresses["http"] + "/metrics", timeout=10).text
    pattern = r'function_requests_total\{code="408",route="/v2/models/<name>/infer"\} (\d+)\.0'
    assert int(re.search(pattern, metrics)[1]) >= 2  # type: ignore[index]


@pytest.mark.parametrize("by", [b"", BY_APPLICATION], ids=["direct", "application"])
@pytest.mark.parametrize(
    ("more", "status", "least"), [(b"", 408, 1000), (b"Expect: 100-continue\r\n", 413, 0)], ids=["late", "too large"]
)
def test_its_time_is_that_from_its_first_byte_to_the_response(
    function: ServerProcess, more: bytes, by: bytes, status: int, least: int
) -> None:
    """In the log and in Server-Timing: with the wait for a body, and without that for the client to close the connection."""
    name = f"timed-{status}-{len(by)}"
    head = HEAD.replace(b"an-id", name.encode()) % (b"POST", b"/classify", 100_000 if more else 10)
    began = time.monotonic()
    with connect(function) as client:
        client.sendall(head + more + by + b"\r\n")
        _, headers, _ = answers(client)[0]
        most = 1000 * (time.monotonic() - began) + 1000
        function.wait_for(rf"status={status} request_id={name} ms=")
    logged = re.search(rf"status={status} request_id={name} ms=([\d.]+)", function.text)
    assert logged
    assert least <= float(logged[1]) <= most
    assert least <= float(headers["server-timing"].removeprefix("total;dur=")) <= most
