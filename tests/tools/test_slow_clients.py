"""The slow clients of the benchmark: what they send is what a function takes, and they send it as slowly as they say."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter

import pytest

from benchmarks.slow import scripts
from benchmarks.slow.beside import Measurement, SlowPlan, SlowResult, markdown
from benchmarks.slow.clients import KINDS, SlowClients, SlowCounts, SlowJob, beside
from benchmarks.slow.scripts import Script
from tests.support.servers import ServerProcess

#: What the fixture ``function`` sets for the tests of this module.
FUNCTION_ENV = {"READ_TIMEOUT_S": "2"}


def port_of(function: ServerProcess) -> int:
    return int(function.addresses["http"].rpartition(":")[2])


@pytest.mark.parametrize("script", scripts.dripping(), ids=lambda script: script.name)
def test_what_comes_by_the_byte_is_right(function: ServerProcess, script: Script) -> None:
    """Sent at once, it is answered as it should be: 408 has no other reason than that it is slow."""
    with socket.create_connection(("127.0.0.1", port_of(function)), timeout=20) as client:
        client.sendall(script.first + script.rest)
        answer = client.makefile("rb").read()
    assert answer[9:12] == (b"415" if script.name.startswith("multipart") else b"200")


@pytest.mark.parametrize("script", scripts.deaf(), ids=lambda script: script.name)
def test_what_is_not_read_is_large(function: ServerProcess, script: Script) -> None:
    """The function sends back more than it was sent."""
    request = script.first + script.over_and_over
    with socket.create_connection(("127.0.0.1", port_of(function)), timeout=20) as client:
        client.sendall(request)
        got = b""
        while len(got) < 4 * len(request):
            data = client.recv(65536)
            assert data, got[-200:]
            got += data
    assert got.startswith(b"HTTP/1.1 200 ")


def test_they_send_a_byte_at_a_time_and_come_again() -> None:
    """Both clients say their first words at once and then a byte a turn; closed, they come again."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        clients = SlowClients(SlowJob(listener.getsockname()[1], "", 2, 0.0, 0.05), [Script("a", b"first", b"12345678")])
        over = threading.Event()

        def run() -> None:
            while not over.is_set():
                clients.tick()
                time.sleep(0.005)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            for _ in range(2):
                began = time.monotonic()
                for connection in [listener.accept()[0] for _ in range(2)]:
                    connection.settimeout(5)
                    with connection.makefile("rb") as said:
                        assert said.read(8) == b"first123"
                    connection.sendall(b"HTTP/1.1 408 late")
                    connection.close()
                assert time.monotonic() - began > 0.09
        finally:
            over.set()
            thread.join()
    assert clients.seen.answers["408"] >= 2
    assert clients.seen.connections >= 4
    clients.close()


def test_a_deaf_one_sends_until_nothing_more_is_taken() -> None:
    """It sends over and over, and stays when its buffers are full."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        clients = SlowClients(
            SlowJob(listener.getsockname()[1], "", 1, 0.0), [Script("a", b"first", over_and_over=b"more" * 1000)]
        )
        before = -1
        while clients.seen.sent > before:
            before = clients.seen.sent
            for _ in range(50):
                clients.tick()
        assert before > 5000
        listener.accept()[0].close()
        end = time.monotonic() + 5
        while not clients.seen.answers and time.monotonic() < end:
            clients.tick()
        assert clients.seen.answers == {"closed": 1}
        clients.close()


@pytest.mark.parametrize("kind", KINDS)
def test_their_process(function: ServerProcess, kind: str) -> None:
    """The process connects the clients, ends on request, and reports what it saw."""
    seen = SlowCounts()
    with beside(SlowJob(port_of(function), kind, 30, 0.1), seen):
        time.sleep(1)
    assert seen.connections == 30
    assert seen.seconds > 0.5
    assert (seen.sent > 0) == (kind != "idle")


def test_the_table() -> None:
    """Each ratio compares a median with its two neighbours; memory is listed in the order of the measurements."""

    def measurement(median: float, memory: float) -> Measurement:
        return Measurement(median, 2 * median, 100, 0, 0, 12, memory, 20, {"function": 0.2, "agent": 1.5})

    result = SlowResult(
        SlowPlan("dripping", 1000, 8, 5, 2, 10, 1),
        [measurement(10, 50), measurement(20, 51), measurement(30, 52)],
        [measurement(18, 60), measurement(25, 61)],
        SlowCounts(),
    )
    result.seen.add(SlowCounts(Counter({"408": 7}), 1007, 2000, 0.5, 10))
    assert result.ratios() == [1.2, 1.0]
    text = markdown(result)
    assert "| ratio | 1.10 (1.00-1.20) |" in text
    assert "in turn: 50.0, 60.0, 51.0, 61.0, 52.0." in text
    assert "connected 1,007 times, sent 200 bytes a second and used 0.05 cores; their connections ended by 408: 7." in text
