"""Lines of JSON through Go's reverse proxy, as in front of every Knative revision: with full duplex, without it, and cut off."""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.aliasmodels import write_says
from tests.support.functions import function_of, start, wait_until_ready
from tests.support.goproxy import BIN, build_proxy
from tests.support.servers import ServerProcess

#: The first build of the proxy compiles Go's net/http.
pytestmark = pytest.mark.timeout(300)

HEAD = (
    b"POST /classify?summary=true HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
#: Of a stream, and turns of a conversation, each of which waits for the model.
LINES, TURNS = 2000, 2000
READ_TIMEOUT_S = 10
NONE, DUPLEX, HALF, KUBECTL = "no proxy", "full duplex", "half duplex", "kubectl proxy"
Behind = Callable[..., ServerProcess]


class ProxyError(Exception):
    """The proxy answers for itself: Go's with 502, kubectl with 500."""


#: No whole answer: it ends within a chunk or before its last one, there is none, or the connection was reset.
CutOff = (http.client.IncompleteRead, http.client.BadStatusLine, ConnectionError, ProxyError)


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Path:
    """The proxy, built once."""
    assert pytestconfig.cache
    return build_proxy(tmp_path_factory.mktemp("proxy"), pytestconfig.cache.mkdir("go-build"))


FUNCTION_ENV = {"THREADS": "8", "READ_TIMEOUT_S": str(READ_TIMEOUT_S)}


@pytest.fixture(scope="module")
def function(agent: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A function with a small model: conversations are long, and what is answered does not matter."""
    folder = tmp_path_factory.mktemp("function")
    write_says(folder / "says.pt", 2)
    with function_of(folder, agent.addresses["unix"], MODEL=str(folder / "says.pt"), **FUNCTION_ENV) as server:
        wait_until_ready(server)
        yield server


@pytest.fixture
def behind(program: Path, function: ServerProcess, tmp_path: Path) -> Iterator[Behind]:
    """``behind(kind)``: a proxy of that kind in front of the function, or of ``server``, ended with the test; or the function itself."""

    def command(kind: str, url: str) -> list[str]:
        return {
            DUPLEX: [str(program), "-target", url, "-full-duplex"],
            HALF: [str(program), "-target", url],
            KUBECTL: [str(BIN / "kubectl"), "proxy", f"--server={url}", "--port=0"],
        }[kind]

    with contextlib.ExitStack() as stack:

        def launch(kind: str, server: ServerProcess = function) -> ServerProcess:
            if kind == NONE:
                return server
            log = tmp_path / "proxy.log"
            env = {**os.environ, "KUBECONFIG": os.devnull}
            with log.open("wb") as out:
                process = subprocess.Popen(
                    command(kind, server.addresses["http"]), stdin=subprocess.PIPE, stdout=out, stderr=out, env=env
                )
            stack.enter_context(process)
            proxy = ServerProcess(process, log)
            stack.callback(proxy.stop)
            proxy.addresses["http"] = "http://" + proxy.wait_for(r"(?:Listening on http://|Starting to serve on )(\S+)")[1]
            return proxy

        yield launch


@dataclass
class Conversation:
    """A stream of lines by hand: each goes out as a chunk of its own, and answers are read meanwhile."""

    server: ServerProcess
    received: list[dict[str, Any]] = field(default_factory=list)
    partial: bytes = b""

    def __post_init__(self) -> None:
        host, port = self.server.addresses["http"].removeprefix("http://").split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=20)
        self.socket.sendall(HEAD)

    @functools.cached_property
    def answer(self) -> http.client.HTTPResponse:
        """The answer, once its head has come."""
        answer = http.client.HTTPResponse(self.socket)
        answer.begin()
        if answer.status >= 500:
            raise ProxyError(answer.status)
        return answer

    def send(self, number: int, padding: int = 0) -> None:
        """A line with that id, and so many bytes that the function ignores."""
        line = json.dumps({"id": number, "text": f"cup number {number}", "padding": "." * padding}).encode() + b"\n"
        self.socket.sendall(b"%x\r\n%s\r\n" % (len(line), line))

    def end(self) -> None:
        """The proper end of the body."""
        self.socket.sendall(b"0\r\n\r\n")

    def receive(self) -> bool:
        """Takes the next line; False at a proper end. Raises one of `CutOff` at another, TimeoutError if nothing comes."""
        while b"\n" not in self.partial:
            # Not readline, which takes a connection that ends between two chunks for a proper end.
            part = self.answer.read1(1 << 16)
            if not part:
                assert not self.partial
                return False
            self.partial += part
        line, _, self.partial = self.partial.partition(b"\n")
        self.received.append(json.loads(line))
        return True

    def receive_all(self) -> None:
        """Takes lines up to the end; raises as `receive` does."""
        while self.receive():
            pass

    @property
    def ids(self) -> list[Any]:
        """Of the answers that came, in their order."""
        return [line["id"] for line in self.received if "id" in line]

    def hang_up(self) -> None:
        """Closes the connection, which the answer's file would else keep open."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def in_flight(function: ServerProcess) -> float:
    exposition = requests.get(function.addresses["http"] + "/metrics", timeout=10).text
    sample = re.search(r"^function_requests_in_flight (\S+)$", exposition, re.MULTILINE)
    return float(sample[1]) if sample else 0.0


def wait_for_requests(function: ServerProcess, count: int) -> None:
    """Waits until so many are in flight, for less than the READ_TIMEOUT_S after which a silent stream ends anyway."""
    end = time.monotonic() + READ_TIMEOUT_S / 2
    while in_flight(function) != count:
        assert time.monotonic() < end, f"{in_flight(function)} requests are in flight, not {count}:\n{function.text}"
        time.sleep(0.02)


def begin(proxy: ServerProcess, kind: str, function: ServerProcess) -> Conversation:
    """A conversation in which the first line was sent, and was answered if the proxy lets that happen before the end."""
    talk = Conversation(proxy)
    talk.send(0)
    if kind in (NONE, DUPLEX):
        assert talk.receive()
    wait_for_requests(function, 1)
    return talk


def test_a_conversation_through_a_full_duplex_proxy(function: ServerProcess, behind: Behind) -> None:
    """Lines that are each sent when the one before was answered: as many answers in order, a summary, a proper end."""
    talk = Conversation(behind(DUPLEX))
    for number in range(TURNS):
        talk.send(number)
        assert talk.receive()
    assert talk.ids == list(range(TURNS))
    assert all("label" in line for line in talk.received)
    talk.end()
    talk.receive_all()
    assert talk.received[TURNS:] == [{"lines": TURNS, "errors": 0}]
    talk.hang_up()
    wait_for_requests(function, 0)


def converse(talk: Conversation) -> None:
    for number in range(LINES):
        talk.send(number)
        talk.receive()
    talk.end()
    talk.receive_all()


def pour(talk: Conversation, padding: int = 0) -> None:
    """Sends without waiting: less than the 256 KiB that Go's server reads and drops before it writes the head of an answer."""

    def speak() -> None:
        # A failure is the reader's to see.
        with contextlib.suppress(OSError):
            for number in range(LINES):
                talk.send(number, padding)
            talk.end()

    speaker = threading.Thread(target=speak)
    speaker.start()
    try:
        talk.receive_all()
    finally:
        talk.hang_up()
        speaker.join()


def pour_much(talk: Conversation) -> None:
    """More than that, after which Go's server closes the body."""
    pour(talk, padding=300)


@pytest.mark.parametrize("kind", [HALF, KUBECTL])
@pytest.mark.parametrize("say", [converse, pour, pour_much])
def test_a_client_can_tell_that_a_half_duplex_proxy_lost_lines(
    function: ServerProcess, behind: Behind, kind: str, say: Callable[[Conversation], None]
) -> None:
    """All lines are answered, or there is no proper end, or the summary counts fewer lines than were sent."""
    talk = Conversation(behind(kind))
    talk.socket.settimeout(5)
    with contextlib.suppress(TimeoutError, *CutOff):
        say(talk)
        summary = talk.received.pop()
        assert summary.keys() == {"lines", "errors"}, "what ended properly has a summary"
        assert summary["lines"] == len(talk.received)
        assert summary["lines"] < LINES or talk.ids == list(range(LINES))
    talk.hang_up()
    wait_for_requests(function, 0)


@pytest.mark.parametrize("kind", [DUPLEX, HALF, KUBECTL])
def test_a_client_that_hangs_up_frees_its_place(function: ServerProcess, behind: Behind, kind: str) -> None:
    """The proxy closes its connection to the function, which ends the stream long before READ_TIMEOUT_S."""
    talk = begin(behind(kind), kind, function)
    talk.hang_up()
    wait_for_requests(function, 0)


@pytest.mark.parametrize("kind", [NONE, DUPLEX, HALF, KUBECTL])
@pytest.mark.parametrize("last", [b"", b'22\r\n{"id": 1, "te'], ids=["between chunks", "in a chunk"])
def test_a_body_that_ends_too_early_is_no_proper_end(function: ServerProcess, behind: Behind, kind: str, last: bytes) -> None:
    """A client that stops in its body, and still reads, never sees an answer that looks whole; the function itself says why."""
    talk = begin(behind(kind), kind, function)
    talk.socket.sendall(last)
    talk.socket.shutdown(socket.SHUT_WR)
    with pytest.raises(CutOff):
        talk.receive_all()
    assert not any("lines" in line for line in talk.received)
    # A proxy drops the answer together with the request.
    assert kind != NONE or "error" in talk.received[-1]
    talk.hang_up()
    wait_for_requests(function, 0)


@pytest.mark.parametrize("kind", [DUPLEX, HALF, KUBECTL])
def test_a_proxy_that_dies_is_seen_on_both_sides(function: ServerProcess, behind: Behind, kind: str) -> None:
    """The client sees no proper end; the function frees the place."""
    proxy = behind(kind)
    talk = begin(proxy, kind, function)
    proxy.stop(signal.SIGKILL)
    with pytest.raises(CutOff):
        talk.receive_all()
    wait_for_requests(function, 0)
    talk.hang_up()


@pytest.mark.parametrize("kind", [DUPLEX, HALF, KUBECTL])
def test_a_function_that_dies_is_seen_by_the_client(agent: ServerProcess, tmp_path: Path, behind: Behind, kind: str) -> None:
    """The client sees no proper end, or the proxy's own error."""
    function = start(tmp_path, agent.addresses["unix"], **FUNCTION_ENV)
    wait_until_ready(function)
    talk = begin(behind(kind, function), kind, function)
    function.stop(signal.SIGKILL)
    # A half-duplex proxy waits for more of the body before it writes anything.
    with contextlib.suppress(ConnectionError):
        talk.end()
    with pytest.raises(CutOff):
        talk.receive_all()
    talk.hang_up()
