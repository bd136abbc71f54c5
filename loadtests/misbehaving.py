"""A client that makes every mistake.

A request succeeds when it is refused with the right status and a problem document.
"""

from __future__ import annotations

import time
from typing import Any

import gevent
from locust import between, tag, task

from loadtests.answers import WrongAnswer, parsed
from loadtests.base import JSON, HttpTextUser, dial

_HEAD = b"POST /classify HTTP/1.1\r\nHost: loadtests\r\nContent-Type: text/plain\r\nContent-Length: "
#: Seconds between two bytes of a slow body, and after which the slow client gives up.
_SLOW_PAUSE_S, _SLOW_LIMIT_S = 0.5, 60.0


class Misbehaving(HttpTextUser):
    """Sends invalid JSON, too large bodies, other media types and slow bytes, and closes
    connections early.
    """

    weight = 1
    wait_time = between(0.5, 2)

    @tag("http", "misbehaving", "bad-json")
    @task(3)
    def bad_json(self) -> None:
        """Truncated JSON: 400."""
        self._send_refused("misbehaving: bad JSON", b'{"text": "tea', JSON, 400)

    @tag("http", "misbehaving", "no-text")
    @task(3)
    def no_text(self) -> None:
        """Valid JSON without a text: 422."""
        self._send_refused("misbehaving: no text", b"{}", JSON, 422)

    @tag("http", "misbehaving", "media-type")
    @task(3)
    def media_type(self) -> None:
        """XML: 415."""
        self._send_refused("misbehaving: media type", b"<text>tea</text>", {"Content-Type": "application/xml"}, 415)

    @tag("http", "misbehaving", "too-large")
    @task
    def too_large(self) -> None:
        """One byte more than MAX_BODY: 413."""
        self._send_refused("misbehaving: too large", b"a" * (self.options.max_body + 1), {"Content-Type": "text/plain"}, 413)

    @tag("http", "misbehaving", "hang-up")
    @task(3)
    def hang_up(self) -> None:
        """Closes the connection within a body, and before the response; the function
        stays alive.
        """
        with self.timed("POST", "misbehaving: hang-up"):
            for body in (b"1000\r\n\r\nhalf a", b"3\r\n\r\ntea"):
                connection = dial(self.host or "")
                connection.send(_HEAD + body)
                connection.close()
            self._check_alive()

    @tag("http", "misbehaving", "slow")
    @task
    def slow_bytes(self) -> None:
        """A byte every half second: 408 once READ_TIMEOUT_S has passed."""
        with self.timed("POST", "misbehaving: slow bytes"):
            connection = dial(self.host or "")
            try:
                status = _drip(connection.sock)
            finally:
                connection.close()
            if not status.startswith(b"HTTP/1.1 408 "):
                raise WrongAnswer(f"slow bytes were not answered with 408 but with {status[:15]!r}")

    def _send_refused(self, name: str, body: bytes, headers: dict[str, str], status: int) -> None:
        self.post(name, "/classify", body, headers, lambda response: _check_problem(response, status), status)

    def _check_alive(self) -> None:
        connection = dial(self.host or "")
        try:
            connection.request("GET", "/health/liveness")
            if (status := connection.getresponse().status) != 200:
                raise WrongAnswer(f"after a hang-up the function's liveness is {status}")
        finally:
            connection.close()


def _check_problem(response: Any, status: int) -> None:
    kind = response.headers.get("Content-Type", "")
    body = parsed(response.content)
    if kind != "application/problem+json" or body.get("status") != status or not body.get("detail"):
        raise WrongAnswer("the refusal is not a problem document with its status and a detail")


def _drip(sock: Any) -> bytes:
    """Sends the slow body; the first bytes of the response, or none where there was none."""
    sock.sendall(_HEAD + b"1000\r\n\r\n")
    end = time.monotonic() + _SLOW_LIMIT_S
    while time.monotonic() < end:
        with gevent.Timeout(_SLOW_PAUSE_S, exception=False):
            received: bytes = sock.recv(1024)
            return received
        sock.sendall(b"a")
    return b""
