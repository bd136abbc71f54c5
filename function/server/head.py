"""Checks of a request's head that no server's parser makes. Sources: RFC 9110, 7.2; RFC 9112, 2.3, 3.2, 6.1."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from function.core.problems import Problem

_VERSIONS = ("1.0", "1.1", "2", "3")
#: A host name, an address, or nothing; then an optional port. Source: RFC 3986, 3.2.2 and 3.2.3.
_HOST = re.compile(
    rb"(\[[0-9A-Fa-f:.]+\]|\[v[0-9A-Fa-f]+\.[\w.~!$&'()*+,;=:-]+\]|([\w.~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(:\d*)?", re.ASCII
)
_DIGITS = re.compile(rb"\d{1,18}")


@dataclass(slots=True)
class Head:
    """What decides how a body is read.

    ``length``: its bytes, or None for a body that is chunked; ``content_type``: the header's value;
    ``expects_continue``: the client waits for a 100 Continue before it sends the body.
    """

    length: int | None
    content_type: bytes
    expects_continue: bool


def read_head(scope: Any) -> Head:
    """What a scope's headers say of the body.

    Raises `Problem` (400, 501, 505), after which the framing of the connection cannot be trusted.
    """
    version: str = scope["http_version"]
    if version not in _VERSIONS:
        raise Problem(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, f"HTTP/{version} is not served here; send HTTP/1.1")
    hosts: list[bytes] = []
    lengths: list[bytes] = []
    codings: list[bytes] = []
    content_type = expectation = b""
    for name, value in scope["headers"]:
        if name == b"host":
            hosts.append(value)
        elif name == b"content-length":
            lengths.append(value)
        elif name == b"transfer-encoding":
            codings.append(value)
        elif name == b"content-type":
            content_type = value
        elif name == b"expect":
            expectation = value
    _check_host(hosts, version)
    _check_coding(codings, lengths, version)
    expects_continue = version != "1.0" and expectation.lower() == b"100-continue"
    return Head(_length(lengths, codings, version), content_type, expects_continue)


def media_type(content_type: bytes) -> str:
    """A content type without its parameters, in lower case."""
    return content_type.partition(b";")[0].strip().lower().decode("latin-1")


def _check_host(hosts: list[bytes], version: str) -> None:
    if len(hosts) > 1:
        raise _malformed("there are several Host headers; send one")
    # HTTP/2 has a pseudo-header for the authority, of which the server makes a Host.
    if not hosts and version == "1.1":
        raise _malformed("HTTP/1.1 needs a Host header")
    if hosts and not _HOST.fullmatch(hosts[0]):
        raise _malformed("Host is not a host name or address with an optional port")


def _check_coding(codings: list[bytes], lengths: list[bytes], version: str) -> None:
    if not codings:
        return
    if version == "1.0":
        raise _malformed("HTTP/1.0 has no Transfer-Encoding; send Content-Length")
    if lengths:
        raise _malformed("Content-Length and Transfer-Encoding are both present; send one of them")
    coding = b",".join(codings).lower()
    if coding == b"chunked":
        return
    if coding.rpartition(b",")[2].strip() != b"chunked":
        raise _malformed("the last transfer coding must be chunked, or the body has no end")
    raise Problem(HTTPStatus.NOT_IMPLEMENTED, f"the transfer coding must be chunked, not {coding[:40].decode('latin-1')!r}")


def _length(lengths: list[bytes], codings: Iterable[bytes], version: str) -> int | None:
    if len(lengths) > 1:
        raise _malformed("there are several Content-Length headers; send one")
    if lengths and not _DIGITS.fullmatch(lengths[0]):
        raise _malformed("Content-Length must be a number of bytes")
    if lengths:
        return int(lengths[0])
    # A body without a length is chunked, or is HTTP/2's DATA frames.
    return None if codings or version in ("2", "3") else 0


def _malformed(detail: str) -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, detail)
