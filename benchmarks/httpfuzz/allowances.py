"""Where a server may differ from h11, each difference with a name and a reason; nothing else is
allowed.

There are two kinds. A lenient reading: a server may accept bytes that h11 rejects, but in one way
only, so that its responses must agree with what h11 makes of the bytes rewritten. A refusal: a
server may refuse what h11 accepts, and end the connection.
"""

from __future__ import annotations

import re
from enum import Flag, auto
from itertools import combinations

import h11

#: Larger heads may be refused; RFC 9112, 3 recommends 8,000 bytes for a request line.
_LARGE_HEAD = 8000
_METHODS = frozenset((b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"PATCH"))
_SPACES = re.compile(rb"[^\s]+( +)[^\s]+( +)HTTP/")
_PROTOCOL = re.compile(rb"^([^\r\n]* )(RTSP|ICE)/")
_ZEROS = re.compile(rb"(\n|:[ \t]*)0{8,}(?=[0-9a-fA-F])")
_LENGTHS = re.compile(rb"(?i)\ncontent-length:([^\n]*)")
_BARE_LF = re.compile(rb"(?<!\r)\n")
_PLAIN_HOST = re.compile(rb"([\w.-]+|\[[0-9a-fA-F:]+\])(:\d{1,4})?", re.ASCII)
_TARGET = re.compile(rb"(https?://[\w.-]+(:\d{1,4})?)?/[^#<>\"{}|\\^`]*", re.ASCII)
_TOKEN = rb"[-!#$%&'*+.^_`|~0-9A-Za-z]+"
#: A chunk's size and extensions, without the white space that RFC 9112, 7.1.1 calls bad.
_CHUNK = re.compile(
    rb"([0-9A-Fa-f]+)(?:;%b(?:=(?:%b|\"(?:[^\x00-\x08\x0a-\x1f\x7f\"\\]|\\[^\x00-\x1f\x7f])*\"))?)*\r\n" % (_TOKEN, _TOKEN)
)
_TRAILERS = re.compile(rb"(?:%b:[^\x00-\x08\x0a-\x1f\x7f]*\r\n)*\r\n" % _TOKEN)
_FRAMING = re.compile(rb"(?im)^(content-length|transfer-encoding):")
_CONNECTION = re.compile(rb"(?im)^connection:")
#: The only allowance by which the connection may end after a response that is not a refusal.
CLOSING_TRAILER = "a trailer that names Connection: RFC 9110, 6.5.1 forbids it, and llhttp obeys it"
#: More bytes of a body's chunk sizes, extensions and trailers may be refused.
_LARGE_FRAMING = 4000


class Lenient(Flag):
    """Readings of bytes that h11 rejects or reads differently."""

    NOTHING = 0
    #: Empty lines before a request line are skipped. RFC 9112, 2.2: a server SHOULD; h11 does not.
    EMPTY_LINES = auto()
    #: Several spaces in a request line count as one. RFC 9112, 3: a server MAY.
    SPACES = auto()
    #: HTTP/1.0 with ``Connection: keep-alive`` stays open. RFC 9112, 9.3; h11 always closes.
    KEEP_ALIVE = auto()
    #: A length may have any number of leading zeros. RFC 9110, 8.6, and RFC 9112, 7.1; h11 accepts
    #: 20 digits.
    ZEROS = auto()
    #: Protocols of the same syntax count as HTTP: llhttp accepts RTSP/1.0 and ICE/1.0 without
    #: saying so.
    PROTOCOL = auto()


#: Every combination, the smallest first.
READINGS = tuple(
    Lenient(sum(flag.value for flag in flags)) for size in range(len(Lenient) + 1) for flags in combinations(tuple(Lenient), size)
)


def rewritten(data: bytes, lenient: Lenient) -> bytes:
    """The bytes as a server with these readings understands their first request."""
    if Lenient.EMPTY_LINES in lenient:
        data = data.lstrip(b"\r\n")
    # Before the spaces, which are told by the protocol behind them.
    if Lenient.PROTOCOL in lenient:
        data = _PROTOCOL.sub(rb"\1HTTP/", data, count=1)
    if Lenient.SPACES in lenient and (line := _SPACES.match(data)):
        first, second = line.span(1), line.span(2)
        data = data[: first[0]] + b" " + data[first[1] : second[0]] + b" " + data[second[1] :]
    return _ZEROS.sub(rb"\1", data) if Lenient.ZEROS in lenient else data


def refusable(request: h11.Request, head: bytes) -> str:
    """The name of the allowance by which a request that h11 accepts may be refused; empty without
    one.
    """
    headers = request.headers
    if request.method not in _METHODS:
        return "a method that no resource here has (501)"
    if len(head) > _LARGE_HEAD:
        return "a large head (431, 414)"
    if _BARE_LF.search(head):
        return "a line that ends with LF alone: RFC 9112, 2.2 lets a server accept it, and later advice is not to"
    if not _TARGET.fullmatch(request.target):
        return "a target that is not a path nor an http URI, or with characters that no URI has"
    if len(_LENGTHS.findall(head)) > 1 or b"," in b"".join(_LENGTHS.findall(head)):
        return "equal lengths, repeated: RFC 9110, 8.6 lets a server refuse them"
    if re.search(rb"(?i)\ntransfer-encoding:[^\r\n]*\t[ \t]*\r?\n", head):
        return "a tab after the transfer coding, which llhttp treats as a part of it"
    if not all(_PLAIN_HOST.fullmatch(value) for name, value in headers if name == b"host"):
        return "a Host that RFC 3986 allows and no resolver accepts"
    return ""


def refusable_chunks(data: bytes) -> str:
    """The same as `refusable`, for a chunked body that h11 accepts."""
    at = framing = 0
    while chunk := _CHUNK.match(data, at):
        size = int(chunk[1], 16)
        framing += chunk.end() - at
        at = chunk.end() + (size + 2 if size else 0)
        if not size:
            break
    if not _TRAILERS.fullmatch(data, at):
        return "chunks that RFC 9112, 7.1 does not allow, or only with white space"
    if _FRAMING.search(data, at):
        return "trailers about the length of the body: RFC 9110, 6.5.1 forbids them"
    if _CONNECTION.search(data, at):
        return CLOSING_TRAILER
    return "large extensions or trailers (431)" if framing + len(data) - at > _LARGE_FRAMING else ""
