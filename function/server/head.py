"""What a request's head may not say, though the server's parser lets it pass. Source: RFC 9110, 7.2; RFC 9112, 2.3, 3.2, 6.1."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from function.core.problems import Problem

_VERSIONS = ("1.0", "1.1", "2", "3")
#: A host name, an address, or nothing; then perhaps a port. Source: RFC 3986, 3.2.2 and 3.2.3.
_HOST = re.compile(
    rb"(\[[0-9A-Fa-f:.]+\]|\[v[0-9A-Fa-f]+\.[\w.~!$&'()*+,;=:-]+\]|([\w.~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(:\d*)?", re.ASCII
)
_DIGITS = re.compile(rb"\d{1,18}")


@dataclass(slots=True)
class Head:
    """What decides how a body is read. ``length``: its bytes, or None: chunks until their end; ``expects``: waits for a 100."""

    length: int | None
    kind: bytes
    expects: bool


def read_head(scope: Any) -> Head:
    """What a scope's headers say of the body. Raises `Problem`: 400, 501, 505, after which nothing on the connection can be trusted."""
    version: str = scope["http_version"]
    if version not in _VERSIONS:
        raise Problem(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, f"HTTP/{version} is not served here; send HTTP/1.1")
    hosts: list[bytes] = []
    lengths: list[bytes] = []
    codings: list[bytes] = []
    kind = expectation = b""
    for name, value in scope["headers"]:
        if name == b"host":
            hosts.append(value)
        elif name == b"content-length":
            lengths.append(value)
        elif name == b"transfer-encoding":
            codings.append(value)
        elif name == b"content-type":
            kind = value
        elif name == b"expect":
            expectation = value
    _check_host(hosts, version)
    _check_coding(codings, lengths, version)
    return Head(_length(lengths, codings, version), kind, version != "1.0" and expectation.lower() == b"100-continue")


def media_type(kind: bytes) -> str:
    """A content type without its parameters, in small letters."""
    return kind.partition(b";")[0].strip().lower().decode("latin-1")


def _check_host(hosts: list[bytes], version: str) -> None:
    if len(hosts) > 1:
        raise _malformed("there are several Host headers; send one")
    # HTTP/2 has its authority elsewhere, and the server makes a Host of it.
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
        raise _malformed("Content-Length and Transfer-Encoding are both there; send one of them")
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
    # A body without a length comes in chunks, or as HTTP/2's frames.
    return None if codings or version in ("2", "3") else 0


def _malformed(detail: str) -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, detail)
