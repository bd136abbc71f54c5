"""The fuzzer of the HTTP front: it finds nothing in the function, and what is planted in others."""

from __future__ import annotations

import re
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from benchmarks.httpfuzz import oracle
from benchmarks.httpfuzz.allowances import CLOSING_TRAILER, Lenient, rewritten
from benchmarks.httpfuzz.client import FuzzClient
from benchmarks.httpfuzz.drafts import hidden
from benchmarks.httpfuzz.judge import judged
from benchmarks.httpfuzz.log import Log
from benchmarks.httpfuzz.oracle import CANARY, Tail
from benchmarks.httpfuzz.streams import Failure, FuzzStream, streams
from tests.support.paths import ROOT

#: A head -> the length of its body, by servers that are right, that take any spelling, that know of no bodies.
Lengths = Callable[[bytes], int]


def _right(head: bytes) -> int:
    length = re.search(rb"\r\nContent-Length: (\d+)\r\n", head)
    return int(length[1]) if length else 0


def _lax(head: bytes) -> int:
    length = re.search(rb"\r\nContent-Length *: *(\d+)\r\n", head)
    return int(length[1]) if length else 0


def _none(_: bytes) -> int:
    return 0


def _fuzzed(lengths: Lengths, work: Iterable[FuzzStream], status: bytes = b"200 OK") -> list[Failure]:
    """What the fuzzer finds in a server that answers every head alike."""

    class ToyHandler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            data = b""
            while more := self.request.recv(1 << 16):
                data += more
                while (end := data.find(b"\r\n\r\n") + 4) > 3 and len(data) >= end + lengths(data[:end]):
                    request_id = re.search(rb"X-Request-Id: [-\w]+", data[:end])
                    answer = b"HTTP/1.1 %s\r\nContent-Length: 0\r\n%s\r\n\r\n" % (
                        status,
                        request_id[0] if request_id else b"X-None: 1",
                    )
                    data = data[end + lengths(data[:end]) :]
                    self.request.sendall(answer)

    class ToyServer(socketserver.ThreadingTCPServer):
        daemon_threads, block_on_close, request_queue_size = True, False, 64

        def handle_error(self, *_: object) -> None:
            """Clients go away."""

    with ToyServer(("127.0.0.1", 0), ToyHandler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        client = FuzzClient(server.server_address[1], limit=0.5)
        client.run(work)
        server.shutdown()
    return client.failures


def _stream(data: bytes) -> Iterator[FuzzStream]:
    yield FuzzStream(0, 1, data + CANARY, oracle.read(data + CANARY))


def _post(length: bytes, body: bytes) -> bytes:
    return b"POST / HTTP/1.1\r\nHost: x\r\nX-Request-Id: case-1\r\n%s%d\r\n\r\n%s" % (length, len(body), body)


def test_a_function() -> None:
    """Two thousand messages: every answer is right, no traceback, no growth."""
    command = [sys.executable, "-m", "benchmarks.httpfuzz", "--messages", "2000", "--seed", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\n0 failures; no fault in the log, memory is flat" in done.stdout


@pytest.mark.parametrize(
    ("lengths", "status", "data", "wrong"),
    [
        (_right, b"200 OK", _post(b"Content-Length: ", hidden(1)), ""),
        (_none, b"200 OK", _post(b"Content-Length: ", hidden(1)), "to b'hidden-1'|not the canary's"),
        (_lax, b"200 OK", _post(b"Content-Length : ", b"text"), "a head that must be refused"),
        (_right, b"500 Oh", _post(b"Content-Length: ", b"text"), "status 500"),
        (_right, b"200 OK", _post(b"Transfer-Encoding: chunked\r\nContent-Length: ", b"text"), "a head that must be refused"),
        (_right, b"404 No", _post(b"Content-Length: ", b"text"), "not the canary's"),
    ],
)
def test_a_fault_is_found(lengths: Lengths, status: bytes, data: bytes, wrong: str) -> None:
    """What a faulty server does with one request is named, and a right one has no fault."""
    faults = [failure.fault for failure in _fuzzed(lengths, _stream(data), status)]
    assert bool(faults) == bool(wrong)
    assert not faults or re.search(wrong, faults[0])


def test_a_streamed_answer_may_be_the_last_after_a_trailer_that_closes() -> None:
    """Its head says nothing of it, since it was sent before the trailer came; any other answer says so, or the next one follows."""
    data = (
        b"POST /classify HTTP/1.1\r\nHost: x\r\nX-Request-Id: case-1\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\n{}\r\n0\r\nConnection: close\r\n\r\n"
    ) + CANARY
    head = b"HTTP/1.1 200 OK\r\nX-Request-Id: case-1\r\n"
    streamed, plain = head + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", head + b"Content-Length: 0\r\n\r\n"
    assert judged(data, oracle.read(data), streamed, ended=True, cut=False) == ("", CLOSING_TRAILER)
    for answer, trailer in ((plain, b"Connection: close"), (streamed, b"Expires: close")):
        other = data.replace(b"Connection: close", trailer)
        fault, _ = judged(other, oracle.read(other), answer, ended=True, cut=False)
        assert fault == "1 responses to 2 requests"


@pytest.mark.parametrize("end", [b"\t", b"\t   ", b" \t "])
def test_a_tab_after_the_coding_may_be_refused(end: bytes) -> None:
    """With spaces behind it, too; spaces alone may not."""
    data = b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked%b\r\n\r\n0\r\n\r\n"
    assert "a tab after" in oracle.read(data % end).responses[0].refusable
    assert not oracle.read(data % b"  ").responses[0].refusable


def test_lenient_readings_go_together() -> None:
    """Of one request line, in any combination, and never more than was allowed."""
    data = b"\r\nGET  /health/liveness   RTSP/1.0\r\n\r\n"
    every = Lenient.EMPTY_LINES | Lenient.SPACES | Lenient.PROTOCOL
    assert rewritten(data, every) == b"GET /health/liveness HTTP/1.0\r\n\r\n"
    for reading in every:
        assert oracle.read(data, every & ~reading).tail is Tail.REFUSED


def test_mutations_find_a_fault() -> None:
    """A server that takes bodies for requests is found out by mutated requests alone."""
    assert any(b"hidden-" in failure.received for failure in _fuzzed(_none, streams(1, 0, 100)))


def test_the_same_seed_gives_the_same_bytes() -> None:
    """A failure can be repeated by its number alone."""
    generated = list(streams(7, 0, 100))
    stream = generated[3]
    assert next(streams(7, stream.first, stream.cases)) == stream


def test_a_log_is_looked_through(tmp_path: Path) -> None:
    """Tracebacks and forged lines are counted, and the file stays short."""
    log = Log(tmp_path / "log")
    log.path.write_bytes(b"all is well\nTraceback (most recent call last):\n  File x\nhidden-0 forged=1\n\x1b[31m\n")
    log.inspect()
    log.inspect()
    assert log.counts == {"tracebacks": 1, "lines of a request": 1, "control characters": 1}
    assert log.path.stat().st_size == 0
