"""Checks of a head that our own server makes in its connection, for servers that do not. Sources: RFC 9112, 3.2; RFC 9110, 5.5."""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote, urlsplit

from function.core.problems import Problem
from function.server.refusals import MAX_HEAD, bad_target, head_too_large

_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


def header_bytes(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """The size of the headers as lines, in bytes."""
    return sum(len(name) + len(value) + 4 for name, value in headers)


def checked(scope: Any) -> Any:
    """The scope, its path without scheme and host. Raises `Problem` (400, 431)."""
    target: bytes = scope.get("raw_path") or scope["path"].encode()
    if len(scope["method"]) + len(target) + len(scope["query_string"]) + header_bytes(scope["headers"]) > MAX_HEAD:
        raise head_too_large()
    for name, value in scope["headers"]:
        if _CONTROL.search(value):
            raise Problem(HTTPStatus.BAD_REQUEST, f"the header {name[:40].decode('latin-1')} has a control character")
    if target[:1] == b"/" or target == b"*":
        return scope
    try:
        parts = urlsplit(target.decode("latin-1"))
        parts.port  # noqa: B018 raises where it is not a number
    except ValueError:
        raise bad_target() from None
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise bad_target()
    return {**scope, "path": unquote(parts.path) or "/"}
