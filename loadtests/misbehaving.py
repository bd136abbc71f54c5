"""A client that does everything wrong. It is a success when it is told so, by the right status and a problem."""

from __future__ import annotations

import time
from typing import Any

import gevent
from locust import between, tag, task

from loadtests.answers import WrongAnswer, parsed
from loadtests.base import JSON, HttpTextUser, dial

_HEAD = b"POST /classify HTTP/1.1\r\nHost: loadtests\r\nContent-Type: text/plain\r\nContent-Length: "
#: A body byte is sent each so many seconds, until the answer is there or so many have passed.
_SLOW_PAUSE_S, _SLOW_LONGEST_S = 0.5, 60.0


class Misbehaving(HttpTextUser):
    """Bad JSON, bodies too large, media types of somewhere else, hang-ups, a byte at a time."""

    weight = 1
    wait_time = between(0.5, 2)

    @tag("http", "misbehaving", "bad-json")
    @task(3)
    def bad_json(self) -> None:
        """JSON that ends too early: 400."""
        self._refused("misbehaving: bad JSON", b'{"text": "tea', JSON, 400)

    @tag("http", "misbehaving", "no-text")
    @task(3)
    def no_text(self) -> None:
        """Good JSON without a text: 422."""
        self._refused("misbehaving: no text", b"{}", JSON, 422)

    @tag("http", "misbehaving", "media-type")
    @task(3)
    def media_type(self) -> None:
        """XML: 415."""
        self._refused("misbehaving: media type", b"<text>tea</text>", {"Content-Type": "application/xml"}, 415)

    @tag("http", "misbehaving", "too-large")
    @task
    def too_large(self) -> None:
        """A byte more than is taken: 413."""
        self._refused("misbehaving: too large", b"a" * (self.options.max_body + 1), {"Content-Type": "text/plain"}, 413)

    @tag("http", "misbehaving", "hang-up")
    @task(3)
    def hang_up(self) -> None:
        """Hangs up in the middle of a body, and before an answer; the function lives on."""
        with self.timed("POST", "misbehaving: hang-up"):
            for body in (b"1000\r\n\r\nhalf a", b"3\r\n\r\ntea"):
                connection = dial(self.host or "")
                connection.send(_HEAD + body)
                connection.close()
            self._alive()

    @tag("http", "misbehaving", "slow")
    @task
    def slow_bytes(self) -> None:
        """A byte now and then: 408 when READ_TIMEOUT_S is over."""
        with self.timed("POST", "misbehaving: slow bytes"):
            connection = dial(self.host or "")
            try:
                status = _drip(connection.sock)
            finally:
                connection.close()
            if not status.startswith(b"HTTP/1.1 408 "):
                raise WrongAnswer(f"slow bytes were not answered by 408 but by {status[:15]!r}")

    def _refused(self, name: str, body: bytes, headers: dict[str, str], status: int) -> None:
        self.ask(name, "/classify", body, headers, lambda answer: _check_problem(answer, status), status)

    def _alive(self) -> None:
        connection = dial(self.host or "")
        try:
            connection.request("GET", "/health/liveness")
            if (status := connection.getresponse().status) != 200:
                raise WrongAnswer(f"after a hang-up the function's liveness is {status}")
        finally:
            connection.close()


def _check_problem(answer: Any, status: int) -> None:
    kind = answer.headers.get("Content-Type", "")
    found = parsed(answer.content)
    if kind != "application/problem+json" or found.get("status") != status or not found.get("detail"):
        raise WrongAnswer("the refusal is no problem with its status and a detail")


def _drip(sock: Any) -> bytes:
    """The answer's first bytes; none where there was no answer."""
    sock.sendall(_HEAD + b"1000\r\n\r\n")
    end = time.monotonic() + _SLOW_LONGEST_S
    while time.monotonic() < end:
        with gevent.Timeout(_SLOW_PAUSE_S, exception=False):
            got: bytes = sock.recv(1024)
            return got
        sock.sendall(b"a")
    return b""
