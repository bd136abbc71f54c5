"""How a server has to take bytes: h11 reads them, and RFC 9112's rules that h11 does not hold are held here.

A connection's bytes are some whole requests and what comes behind the last of them, the tail: nothing, a request that must be
refused, one that is not whole. Nothing behind a tail that is not `Tail.OPEN` may be answered.
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
#: Ids that only requests of this fuzzer have.
ID = re.compile(rb"case-\d+|canary|hidden-\d+")
#: Source: RFC 9110, 7.2, and RFC 3986, 3.2.2 and 3.2.3.
_HOST = re.compile(
    rb"(\[[0-9a-fA-F:.]+\]|\[[vV][0-9a-fA-F]+\.[-\w.~!$&'()*+,;=:]+\]|([-\w.~!$&'()*+,;=]|%[0-9a-fA-F]{2})*)(:\d*)?", re.ASCII
)


class Tail(Enum):
    """What is behind the last whole request."""

    OPEN = "nothing; the connection goes on"
    CLOSED = "the request before it was the connection's last"
    REFUSED = "a head that must be refused"
    BROKEN = "a body that must be refused, behind a head that is right"
    PARTIAL = "a head that is not whole"
    WAITING = "a body that is not whole, behind a head that is right"


@dataclass(frozen=True, slots=True)
class ExpectedResponse:
    """A whole request. ``id``: that its answer must carry, if it is known; ``refusable``: the allowance by which it may be refused."""

    method: bytes
    id: bytes
    version: bytes = b"1.1"
    body: bool = False
    canary: bool = False
    refusable: str = ""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What has to be answered, and how the connection goes on; ``reason``: why not; ``head``: that must be refused."""

    wants: tuple[ExpectedResponse, ...]
    tail: Tail
    reason: str = ""
    head: bytes = b""

    @property
    def clean(self) -> bool:
        """Whether the canary is answered and the connection goes on."""
        return self.tail is Tail.OPEN and bool(self.wants) and self.wants[-1].canary


_CANARY = ExpectedResponse(b"GET", b"canary", canary=True)


class _RuleBroken(Exception):
    """A rule that h11 does not hold is broken."""


def read(data: bytes, lenient: Lenient = Lenient.NOTHING) -> Expectation:
    """The verdict on a connection's bytes."""
    wants: list[ExpectedResponse] = []
    while data := rewritten(data, lenient):
        if data == CANARY:
            wants.append(_CANARY)
            break
        want, tail, reason, rest = _one(data, lenient)
        if want:
            wants.append(want)
        if tail is not Tail.OPEN:
            return Expectation(tuple(wants), tail, reason, _head(data) if tail is Tail.REFUSED else b"")
        data = rest
    return Expectation(tuple(wants), Tail.OPEN)


def _one(data: bytes, lenient: Lenient) -> tuple[ExpectedResponse | None, Tail, str, bytes]:
    """The first request, what comes of the connection, why, and the bytes behind it."""
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=_LARGEST)
    parser.receive_data(data)
    tail = Tail.REFUSED
    try:
        request = parser.next_event()
        if not isinstance(request, h11.Request):
            return None, Tail.PARTIAL, "the head is not whole", b""
        head = _head(data)
        _check(request, head)
        tail = Tail.BROKEN
        if not _read_body(parser, data):
            return None, Tail.WAITING, "the body is not whole", b""
    except (h11.RemoteProtocolError, _RuleBroken) as error:
        return None, tail, str(error), b""
    rest = parser.trailing_data[0]
    want = _want(request, head, data[len(head) : len(data) - len(rest)])
    closes = _closes(request, lenient)
    return want, Tail.CLOSED if closes else Tail.OPEN, "the last request" if closes else "", rest


def _head(data: bytes) -> bytes:
    end = _HEAD_END.search(data)
    return data[: end.end()] if end else data


def _read_body(parser: h11.Connection, data: bytes) -> bool:
    """Whether the body is whole."""
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
        raise _RuleBroken("several Hosts, or one that is not valid")
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
