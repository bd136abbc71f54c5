"""The HTTP server under clients that are slow, wrong, many or gone."""

from __future__ import annotations

import gzip
import json
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.support.functions import post
from tests.support.servers import ServerProcess
from tests.support.sockets import answers, connect

PLAIN = b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n"


#: What the fixture ``function`` sets for the tests of this module.
FUNCTION_ENV = {
    "MAX_BODY": "100000",
    "READ_TIMEOUT_S": "2",
    "KEEP_ALIVE_S": "4",
    "THREADS": "8",
    "CORS_ORIGINS": "https://a.example,https://b.example",
}


def threads(server: ServerProcess) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("Threads:")))


def test_pipelined_requests_are_answered_in_order(function: ServerProcess) -> None:
    """Three requests in one piece, and cut at every odd place, get three answers on the one connection."""
    texts = [b"good morning", b"tea at four", b"see you later then"]
    data = b"".join(PLAIN + b"Content-Length: %d\r\n\r\n" % len(text) + text for text in texts)
    for step in (len(data), 7):
        with connect(function) as client:
            for at in range(0, len(data), step):
                client.sendall(data[at : at + step])
                if step < len(data):
                    time.sleep(0.001)
            got = answers(client, 3)
        assert [status for status, _, _ in got] == [200] * 3
        assert [json.loads(body)["tokens"] for _, _, body in got] == [4, 5, 6]


@pytest.mark.parametrize(
    "sent",
    [b"POST /class", PLAIN, PLAIN + b"Content-Length: 50\r\n\r\nhalf", PLAIN + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhe"],
    ids=["line", "head", "body", "chunk"],
)
def test_what_does_not_arrive_in_time_is_408(function: ServerProcess, sent: bytes) -> None:
    """A head or a body that stays away gets a 408, and the connection ends."""
    with connect(function) as client:
        client.sendall(sent)
        (status, headers, body) = answers(client)[0]
        assert status == json.loads(body)["status"] == 408
        assert headers["content-type"] == "application/problem+json"
        assert client.recv(1) == b""


@pytest.mark.parametrize(
    ("sent", "status", "says"),
    [
        (PLAIN + b"Content-Length: abc\r\n\r\nhi", 400, "Content-Length"),
        (PLAIN + b"Content-Length: -5\r\n\r\nhi", 400, "Content-Length"),
        (PLAIN + b"Content-Length: +2\r\n\r\nhi", 400, "Content-Length"),
        (PLAIN + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", 400, "Content-Length"),
        (PLAIN + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhi\r\n0\r\n\r\n", 400, "chunk"),
        (PLAIN + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nhi\r\n0\r\n\r\n", 400, "chunk"),
        (PLAIN + b"Transfer-Encoding: chunked\r\n\r\n1\r\nhi\r\n0\r\n\r\n", 400, "chunk"),
        (PLAIN + b"Transfer-Encoding: zip\r\n\r\nhi", 400, ""),
        (PLAIN + b"Transfer-Encoding: zip, chunked\r\n\r\n0\r\n\r\n", 501, "chunked"),
        (b"GET /health/liveness HTTP/1.1\r\n\r\n", 400, "Host"),
        (b"\x16\x03\x01 hello\r\n\r\n", 400, "method"),
        (b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", 400, "version"),
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505, "HTTP/1.1"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 40_000 + b"\r\n\r\n", 431, "headers"),
    ],
)
def test_what_is_no_http_is_a_problem(function: ServerProcess, sent: bytes, status: int, says: str) -> None:
    """Requests that the application never sees get the same form of error, and the connection ends."""
    with connect(function) as client:
        client.sendall(sent)
        got, headers, body = answers(client)[0]
    assert (got, headers["content-type"]) == (status, "application/problem+json")
    assert says in json.loads(body)["detail"]


def test_a_body_cut_short_is_400(function: ServerProcess) -> None:
    """A client that closes its side before the length it promised gets an error that says so."""
    with connect(function) as client:
        client.sendall(PLAIN + b"Content-Length: 50\r\n\r\nhalf")
        client.shutdown(socket.SHUT_WR)
        status, _, body = answers(client)[0]
    assert status == 400
    assert "4 of 50 bytes" in json.loads(body)["detail"]


def test_chunks_in_any_pieces(function: ServerProcess) -> None:
    """Extensions, trailers and text that looks like the end of the chunks are what they are."""
    text = b"good 0\r\n\r\n day"
    body = b"%x;a=b\r\n%s\r\n5\r\n tea!\r\n0\r\nX-Sum: 1\r\n\r\n" % (len(text), text)
    with connect(function) as client:
        for byte in PLAIN + b"Transfer-Encoding: chunked\r\n\r\n" + body:
            client.sendall(bytes([byte]))
        got = answers(client)[0]
        assert got[0] == 200
        assert json.loads(got[2])["tokens"] == json.loads(post(function, text + b" tea!", "text/plain").content)["tokens"]
        client.sendall(b"GET /health/liveness HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answers(client)[0][0] == 200


def test_what_the_application_leaves_is_no_request(function: ServerProcess) -> None:
    """A body that nobody reads is not taken for the next request on the connection."""
    hidden = b"GET /health/liveness HTTP/1.1\r\nHost: x\r\n\r\n"
    head = b"POST /nothing HTTP/1.1\r\nHost: x\r\n"
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(hidden), hidden)
    sized = head + b"Content-Length: %d\r\n\r\n" % len(hidden) + hidden
    large = head + b"Content-Length: 900000\r\n\r\n" + hidden * (900_000 // len(hidden) + 1)
    for sent in (chunked, sized, large[: len(head) + 26 + 900_000]):
        with connect(function) as client:
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)
            assert answers(client)[0][0] == 404
            assert client.recv(1) == b""


def test_expect_100_continue(function: ServerProcess) -> None:
    """The server asks for the body once, before it is sent."""
    with connect(function) as client:
        client.sendall(PLAIN + b"Content-Length: 12\r\nExpect: 100-continue\r\n\r\n")
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"good morning")
        assert answers(client)[0][0] == 200


@pytest.mark.parametrize("size", [100_001, 5_000_000])
def test_a_body_too_large_is_413_with_every_client(function: ServerProcess, size: int) -> None:
    """curl, with and without Expect, chunked or not, reads the answer and no reset."""
    url = function.addresses["http"] + "/classify"
    for options in ((), ("-H", "Expect: 100-continue"), ("-H", "Transfer-Encoding: chunked")):
        done = subprocess.run(
            ["curl", "-sS", "-w", "%{http_code}", "-o", "/dev/null", "-H", "Content-Type: text/plain", *options, "--data-binary", "@-", url],
            input=b"x" * size, capture_output=True, timeout=30, check=True,
        )  # fmt: skip
        assert done.stdout == b"413"


def test_gzip_bodies(function: ServerProcess) -> None:
    """Inflated up to the limit of a body; what is no gzip, or would be too large, is said."""

    def send(body: bytes, encoding: str = "gzip") -> requests.Response:
        headers = {"Content-Type": "text/plain", "Content-Encoding": encoding}
        return requests.post(function.addresses["http"] + "/classify", data=body, headers=headers, timeout=20)

    assert send(gzip.compress(b"good morning")).json()["tokens"] == 4
    assert send(gzip.compress(b"a" * 100_000)).status_code == 422  # the longest body is too long a text
    assert send(gzip.compress(b"a" * 100_001)).status_code == 413
    assert send(gzip.compress(b"a" * 90_000_000)).status_code == 413
    assert send(b"good morning").status_code == 400
    assert send(gzip.compress(b"good morning")[:-4]).status_code == 400
    assert send(b"x", "br").status_code == 415


def test_slow_clients_take_no_threads(function: ServerProcess) -> None:
    """Three hundred requests that arrive byte by byte do not hold up a normal one, and leave nothing behind."""
    # One for each normal request, at most.
    most = threads(function) + 10
    slow = [connect(function) for _ in range(300)]
    for at in range(10):
        for client in slow:
            client.sendall(PLAIN[at : at + 1])
        assert post(function, {"text": "good morning"}).status_code == 200
    assert threads(function) <= most
    for client in slow:
        assert answers(client)[0][0] == 408
        client.close()
    assert threads(function) <= most


def deaf(server: ServerProcess, count: int) -> socket.socket:
    """A client that has asked for so much and reads nothing."""
    host, port = server.addresses["http"].removeprefix("http://").split(":")
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect((host, int(port)))
    client.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * count)
    return client


def test_who_reads_nothing_is_answered_no_further(function: ServerProcess) -> None:
    """Some answers wait for such a client, and no others are made for it: the system's own buffer is kept small."""
    before = function.text.count("/openapi.json")
    with deaf(function, 300):
        time.sleep(1.5)
        answered = function.text.count("/openapi.json") - before
    assert 0 < answered < 30


def test_who_leaves_while_requests_wait_leaves_no_traceback(function: ServerProcess) -> None:
    """The request that is being answered learns that nobody waits for it, though others have come after it."""
    for _ in range(5):
        with deaf(function, 300):
            time.sleep(0.3)
    assert post(function, {"text": "good morning"}).status_code == 200
    assert "Traceback" not in function.text


def test_idle_connections_end(function: ServerProcess) -> None:
    """A connection is kept for the next request, and closed when none comes."""
    with connect(function) as client:
        client.sendall(b"GET /health/liveness HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answers(client)[0][0] == 200
        assert client.recv(1) == b""


def test_past_the_limit_is_503_at_once_and_health_is_answered(function: ServerProcess) -> None:
    """Eight requests run; a ninth is refused with a 503; probes and metrics are always answered."""
    texts = {"texts": ["tea " * 120] * 12}
    with ThreadPoolExecutor(16) as pool:
        busy = [pool.submit(post, function, texts) for _ in range(16)]
        assert requests.get(function.addresses["http"] + "/health/liveness", timeout=20).status_code == 200
        codes = sorted(future.result().status_code for future in busy)
    assert codes[0] == 200
    assert codes[-1] == 503
    assert set(codes) == {200, 503}
    refused = requests.get(function.addresses["http"] + "/metrics", timeout=20).text
    assert 'function_requests_total{code="503",route="/classify"}' in refused
    assert "function_requests_in_flight 0.0" in refused


def test_head_and_options(function: ServerProcess) -> None:
    """HEAD is GET without a body, its length the same; OPTIONS says what is allowed."""
    url = function.addresses["http"]
    for path in ("/", "/health/liveness", "/health/readiness", "/openapi.json", "/v2/models/tweets", "/nothing", "/classify"):
        head, get = requests.head(url + path, timeout=10), requests.get(url + path, timeout=10)
        assert head.content == b""
        assert [head.status_code, head.headers["Content-Length"], head.headers["Content-Type"]] == [
            get.status_code, get.headers["Content-Length"], get.headers["Content-Type"]
        ]  # fmt: skip
    assert requests.options(url + "/classify", timeout=10).headers["Allow"].split(", ") in (
        ["POST", "OPTIONS"],
        ["OPTIONS", "POST"],
    )


def test_cors_is_for_the_origins_named(function: ServerProcess) -> None:
    """A page of a named origin may call and read the answer; another may not."""
    url = function.addresses["http"] + "/classify"
    ask = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    allowed = requests.options(url, headers={"Origin": "https://b.example", **ask}, timeout=10)
    assert allowed.headers["Access-Control-Allow-Origin"] == "https://b.example"
    assert "POST" in allowed.headers["Access-Control-Allow-Methods"]
    other = requests.options(url, headers={"Origin": "https://c.example", **ask}, timeout=10)
    assert not [name for name in other.headers if name.startswith("Access-Control")]


def test_ids_times_and_security_headers(function: ServerProcess) -> None:
    """Every answer, an error too, has the id that was sent or a new one, and the times of its parts."""
    url = function.addresses["http"] + "/classify"
    answer = requests.post(url, json={"text": "hi"}, headers={"X-Request-Id": "abc-1"}, timeout=10)
    assert answer.headers["X-Request-Id"] == "abc-1"
    for part in ("tokenize", "rpc", "queue", "forward", "total"):
        assert f"{part};dur=" in answer.headers["Server-Timing"]
    wrong = requests.post(url, data=b"", headers={"X-Request-Id": "a b\tc"}, timeout=10)
    assert len(wrong.headers["X-Request-Id"]) == 32
    assert wrong.headers["X-Content-Type-Options"] == "nosniff"
