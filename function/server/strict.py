"""What our own server does with a head before the application sees it, for servers that do not. Source: RFC 9112, 3.2; RFC 9110, 5.5."""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote, urlsplit

from function.core.problems import Problem

#: Bytes of a request line with its headers.
MAX_HEAD = 32 << 10
#: What a body may have of chunk sizes, extensions and trailers, beside some bytes for each of its own.
MAX_FRAMING = 16 << 10
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


def size_of(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """Bytes of header lines."""
    return sum(len(name) + len(value) + 4 for name, value in headers)


def too_large() -> Problem:
    """What a request is told whose head is larger than `MAX_HEAD`."""
    detail = f"the request line and headers are too large; at most {MAX_HEAD} bytes together"
    return Problem(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, detail)


def bad_target() -> Problem:
    """What a request is told whose target is neither a path nor a URL."""
    return Problem(HTTPStatus.BAD_REQUEST, "the target must begin with a slash, or be a whole URL")


def too_much_framing() -> Problem:
    """What a request is told whose chunks have more than `MAX_FRAMING` around them."""
    detail = f"the chunks' extensions or trailers are too large; at most {MAX_FRAMING} bytes together"
    return Problem(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, detail)


def checked(scope: Any) -> Any:
    """The scope, its path without scheme and host. Raises `Problem` (400, 431)."""
    target: bytes = scope.get("raw_path") or scope["path"].encode()
    if len(scope["method"]) + len(target) + len(scope["query_string"]) + size_of(scope["headers"]) > MAX_HEAD:
        raise too_large()
    for name, value in scope["headers"]:
        if _CONTROL.search(value):
            raise Problem(HTTPStatus.BAD_REQUEST, f"the header {name[:40].decode('latin-1')} has a control character")
    if target[:1] == b"/" or target == b"*":
        return scope
    try:
        parts = urlsplit(target.decode("latin-1"))
        parts.port  # noqa: B018 raises where it is no number
    except ValueError:
        raise bad_target() from None
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise bad_target()
    return {**scope, "path": unquote(parts.path) or "/"}
