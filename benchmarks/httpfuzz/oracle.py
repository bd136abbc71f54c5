"""How a server has to treat bytes: h11 parses them, and the rules of RFC 9112 that h11 does not
enforce are enforced here.

A connection's bytes are complete requests and what follows the last of them, the tail: nothing, a
request that must be refused, or an incomplete one. Nothing after a tail other than `Tail.OPEN` may
get a response.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

import h11

from benchmarks.httpfuzz.allowances import Lenient, refusable, refusable_chunks, rewritten

CANARY = b"GET /health/liveness HTTP/1.1\r\nHost: canary\r\nX-Request-Id: canary\r\n\r\n"
_LARGEST = 4 << 20
_HEAD_END = re.compile(rb"\n\r?\n")
_FOLDED = re.compile(rb"\n[ \t]")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
#: The ids of this fuzzer's requests.
ID = re.compile(rb"case-\d+|canary|hidden-\d+")
#: Source: RFC 9110, 7.2, and RFC 3986, 3.2.2 and 3.2.3.
_HOST = re.compile(
    rb"(\[[0-9a-fA-F:.]+\]|\[[vV][0-9a-fA-F]+\.[-\w.~!$&'()*+,;=:]+\]|([-\w.~!$&'()*+,;=]|%[0-9a-fA-F]{2})*)(:\d*)?", re.ASCII
)


class Tail(Enum):
    """What follows the last complete request."""

    OPEN = "nothing; the connection stays open"
    CLOSED = "the request before it was the connection's last"
    REFUSED = "a head that must be refused"
    BROKEN = "a body that must be refused, after a valid head"
    PARTIAL = "an incomplete head"
    WAITING = "an incomplete body, after a valid head"


@dataclass(frozen=True, slots=True)
class ExpectedResponse:
    """The response to a complete request.

    ``id``: the one that it must carry, where that is known; ``body``: whether the request has one;
    ``refusable``: the allowance by which the request may be refused.
    """

    method: bytes
    id: bytes
    version: bytes = b"1.1"
    body: bool = False
    canary: bool = False
    refusable: str = ""


@dataclass(frozen=True, slots=True)
class Expectation:
    """The expected responses, and what follows them; ``reason``: why the connection ends; ``head``:
    one that must be refused.
    """

    responses: tuple[ExpectedResponse, ...]
    tail: Tail
    reason: str = ""
    head: bytes = b""

    @property
    def clean(self) -> bool:
        """Whether the canary gets its response and the connection stays open."""
        return self.tail is Tail.OPEN and bool(self.responses) and self.responses[-1].canary


_CANARY = ExpectedResponse(b"GET", b"canary", canary=True)


class _RuleBroken(Exception):
    """A violation of a rule that h11 does not enforce."""


def read(data: bytes, lenient: Lenient = Lenient.NOTHING) -> Expectation:
    """What a server has to do with a connection's bytes, by these readings."""
    responses: list[ExpectedResponse] = []
    while data := rewritten(data, lenient):
        if data == CANARY:
            responses.append(_CANARY)
            break
        expected, tail, reason, rest = _one(data, lenient)
        if expected:
            responses.append(expected)
        if tail is not Tail.OPEN:
            return Expectation(tuple(responses), tail, reason, _head(data) if tail is Tail.REFUSED else b"")
        data = rest
    return Expectation(tuple(responses), Tail.OPEN)


def _one(data: bytes, lenient: Lenient) -> tuple[ExpectedResponse | None, Tail, str, bytes]:
    """The response to the first request, what becomes of the connection, why, and the bytes after
    the request.
    """
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=_LARGEST)
    parser.receive_data(data)
    tail = Tail.REFUSED
    try:
        request = parser.next_event()
        if not isinstance(request, h11.Request):
            return None, Tail.PARTIAL, "the head is incomplete", b""
        head = _head(data)
        _check(request, head)
        tail = Tail.BROKEN
        if not _read_body(parser, data):
            return None, Tail.WAITING, "the body is incomplete", b""
    except (h11.RemoteProtocolError, _RuleBroken) as error:
        return None, tail, str(error), b""
    rest = parser.trailing_data[0]
    expected = _want(request, head, data[len(head) : len(data) - len(rest)])
    closes = _closes(request, lenient)
    return expected, Tail.CLOSED if closes else Tail.OPEN, "the last request" if closes else "", rest


def _head(data: bytes) -> bytes:
    end = _HEAD_END.search(data)
    return data[: end.end()] if end else data


def _read_body(parser: h11.Connection, data: bytes) -> bool:
    """Whether the body is complete."""
    while True:
        left = len(parser.trailing_data[0])
        event = parser.next_event()
        if event is h11.NEED_DATA:
            return False
        if isinstance(event, h11.EndOfMessage):
            if event.headers:
                _check_lines(event.headers, data[len(data) - left : len(data) - len(parser.trailing_data[0])])
            return True


def _check(request: h11.Request, head: bytes) -> None:
    """Source: RFC 9112, 2.3, 3.2, 5.2, 6.1."""
    if request.http_version not in (b"1.0", b"1.1"):
        raise _RuleBroken("a version that is not 1.0 or 1.1")
    _check_lines(request.headers, head)
    hosts = [value for name, value in request.headers if name == b"host"]
    if len(hosts) > 1 or not all(map(_HOST.fullmatch, hosts)):
        raise _RuleBroken("several Hosts, or an invalid one")
    names = {name for name, _ in request.headers}
    if b"transfer-encoding" in names and (b"content-length" in names or request.http_version == b"1.0"):
        raise _RuleBroken("Transfer-Encoding beside Content-Length, or in HTTP/1.0")


def _check_lines(headers: Iterable[tuple[bytes, bytes]], lines: bytes) -> None:
    """Source: RFC 9112, 5.2; RFC 9110, 5.5."""
    if _FOLDED.search(lines):
        raise _RuleBroken("a folded line")
    if any(_CONTROL.search(value) for _, value in headers):
        raise _RuleBroken("a control character in a value")


def _want(request: h11.Request, head: bytes, body: bytes) -> ExpectedResponse:
    names = [name for name, _ in request.headers]
    ids = [value for name, value in request.headers if name == b"x-request-id"]
    known = ids[0] if len(ids) == 1 and ID.fullmatch(ids[0]) else b""
    reason = (refusable_chunks(body) if b"transfer-encoding" in names else "") or refusable(request, head)
    return ExpectedResponse(request.method, known, request.http_version, bool(body), refusable=reason)


def _closes(request: h11.Request, lenient: Lenient) -> bool:
    options = {option.strip().lower() for name, value in request.headers if name == b"connection" for option in value.split(b",")}
    kept = Lenient.KEEP_ALIVE in lenient and b"keep-alive" in options
    return b"close" in options or (request.http_version == b"1.0" and not kept)
