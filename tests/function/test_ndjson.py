"""Lines of JSON: answered as they come, in order, however many."""

from __future__ import annotations

import http.client
import json
import queue
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from function.core.stream import Arriving, in_order
from tests.support.servers import ServerProcess

TYPE = {"Content-Type": "application/x-ndjson"}


#: What the fixture ``function`` sets for the tests of this module.
FUNCTION_ENV = {"MAX_BODY": "2000", "THREADS": "8", "READ_TIMEOUT_S": "3", "MAX_STREAMS": "2"}


def lines_of(answer: requests.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.content.splitlines()]


def metrics(server: ServerProcess) -> str:
    return requests.get(server.addresses["http"] + "/metrics", timeout=10).text


def send(server: ServerProcess, body: Any, query: str = "") -> requests.Response:
    return requests.post(server.addresses["http"] + "/classify" + query, data=body, headers=TYPE, timeout=60)


def test_order_ids_and_errors(function: ServerProcess) -> None:
    """Each line has its answer at its place; a bad one its error; blank ones count and are not answered."""
    body = b"\n".join(
        [b'{"text": "good morning"}', b'{"id": "b", "text": ""}', b"", b"nonsense", b'{"id": 4, "text": "tea"}', b"7",
         b'{"text": "' + b"x" * 3000 + b'"}', b'{"text": "tea", "top_k": 0}', b'{"id": null, "text": "see you"}']
    )  # fmt: skip
    got = lines_of(send(function, body))
    assert [row["line"] for row in got] == [1, 2, 4, 5, 6, 7, 8, 9]
    assert [row["error"]["status"] if "error" in row else 200 for row in got] == [200, 422, 400, 200, 422, 413, 422, 200]
    assert [row.get("id", "-") for row in got] == ["-", "b", "-", 4, "-", "-", "-", None]


def test_options_of_the_query_and_of_a_line(function: ServerProcess) -> None:
    """A line's own option goes before the query's."""
    body = b'{"text": "good morning"}\n{"text": "good morning", "top_k": 2}\n'
    assert [len(row["scores"]) for row in lines_of(send(function, body, "?top_k=1"))] == [1, 2]
    assert send(function, body, "?top_k=0").status_code == 422


def test_a_summary_is_the_last_line(function: ServerProcess) -> None:
    """How many lines were answered, and how many with an error; another value than true or false is refused."""
    body = b'{"text": "tea"}\n\nnonsense\n{"text": "see you"}'
    assert lines_of(send(function, body, "?summary=true"))[-1] == {"lines": 3, "errors": 1}
    assert "lines" not in lines_of(send(function, body, "?summary=false"))[-1]
    assert send(function, body, "?summary=null").status_code == 422


def test_many_lines_keep_their_order(function: ServerProcess) -> None:
    """A body of no known length, ten times what a body may hold."""
    count = 1000
    got = lines_of(send(function, (f'{{"id": {i}, "text": "cup number {i}"}}\n'.encode() for i in range(count))))
    assert [row["id"] for row in got] == list(range(count))
    assert all("label" in row for row in got)


def test_a_line_is_answered_before_the_next_is_sent(function: ServerProcess) -> None:
    """A conversation: the function does not wait for the end of the lines."""
    host, port = function.addresses["http"].removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as client:
        client.sendall(
            b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        answer: http.client.HTTPResponse | None = None
        for i in range(3):
            line = b'{"id": %d, "text": "good morning"}\n' % i
            client.sendall(b"%x\r\n%s\r\n" % (len(line), line))
            if answer is None:
                answer = http.client.HTTPResponse(client)
                answer.begin()
            assert json.loads(answer.readline())["id"] == i
        client.sendall(b"0\r\n\r\n")
        assert answer is not None
        assert answer.read() == b""


def test_a_client_that_goes_away_ends_the_work(function: ServerProcess) -> None:
    """Nothing is left in flight of streams whose clients hung up."""
    host, port = function.addresses["http"].removeprefix("http://").split(":")
    head = b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nContent-Length: 100000000\r\n\r\n"
    for _ in range(2):
        with socket.create_connection((host, int(port)), timeout=20) as client:
            client.sendall(head + b'{"text": "tea"}\n' * 100)
            assert client.recv(1) == b"H"
    end = time.monotonic() + 30
    while "function_requests_in_flight 0.0" not in metrics(function):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_the_lines_of_who_has_left_are_not_classified(function: ServerProcess) -> None:
    """Not even those that have arrived: thousands would keep the agent busy for nobody."""
    host, port = function.addresses["http"].removeprefix("http://").split(":")
    head = b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nContent-Length: 100000000\r\n"
    with socket.create_connection((host, int(port)), timeout=20) as client:
        client.sendall(head + b"X-Request-Id: left-1\r\n\r\n" + b'{"text": "tea and bread"}\n' * 8000)
        assert client.recv(1) == b"H"
        time.sleep(0.5)
    end = time.monotonic() + 1
    while "request_id=left-1" not in function.text:
        assert time.monotonic() < end, "it goes on"
        time.sleep(0.05)


def test_streams_are_limited(function: ServerProcess) -> None:
    """MAX_STREAMS may be open and one more is refused; a client that hangs up makes room."""
    host, port = function.addresses["http"].removeprefix("http://").split(":")
    head = b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nContent-Length: 1000\r\n\r\n"
    clients = [socket.create_connection((host, int(port)), timeout=20) for _ in range(2)]
    for client in clients:
        client.sendall(head + b'{"text": "tea"}\n')
        assert client.recv(1) == b"H"
    assert send(function, b'{"text": "tea"}\n').status_code == 503
    assert requests.post(function.addresses["http"] + "/classify", json={"text": "tea"}, timeout=10).status_code == 200
    for client in clients:
        client.close()
    end = time.monotonic() + 20
    while (answer := send(function, b'{"text": "tea"}\n')).status_code == 503 and time.monotonic() < end:
        time.sleep(0.05)
    assert lines_of(answer), "their places are given back"


def test_a_stream_that_falls_silent_ends_with_a_line(function: ServerProcess) -> None:
    """Nothing for READ_TIMEOUT_S, the connection still open: a last line says so."""
    host, port = function.addresses["http"].removeprefix("http://").split(":")
    head = b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nContent-Length: 1000\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=20) as client:
        client.sendall(head + b'{"text": "tea"}\n')
        answer = http.client.HTTPResponse(client)
        answer.begin()
        assert json.loads(answer.readline())["line"] == 1
        assert "ended early" in json.loads(answer.readline())["error"]["detail"]


def test_memory_is_bounded_by_what_is_read_ahead() -> None:
    """The source is never read further ahead of the results than the queue and the parts in flight."""
    taken = 0

    def source() -> Iterator[int]:
        nonlocal taken
        while taken < 10_000:
            taken += 1
            yield taken

    results = in_order(Arriving(source(), 20), lambda part: part, size=5, jobs=2)
    for done, part in enumerate(results):
        assert taken <= 5 * done + 20 + 5 * 3 + 2, part
        if done == 200:
            results.close()  # type: ignore[attr-defined] # a generator
            break
    assert taken < 1100


def test_a_result_is_not_held_back_for_items_to_come() -> None:
    """With room for more parts in flight, a finished one is given out while the source waits."""
    items: queue.Queue[int | None] = queue.Queue()
    results = in_order(Arriving(iter(items.get, None), 10), lambda part: part, size=4, jobs=3)
    for i in range(5):
        items.put(i)
        assert next(results) == [i]
    items.put(None)
    assert list(results) == []


def test_what_the_source_raises_comes_after_what_it_gave() -> None:
    """Items before the failure are answered."""

    def source() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    results = in_order(Arriving(source(), 10), lambda part: part, size=4, jobs=2)
    assert next(results) == [1]
    with pytest.raises(ValueError, match="broken"):
        next(results)
