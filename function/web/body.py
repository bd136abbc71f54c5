"""Reads a request's body within its limits, inflated and decoded, and the options in its query string."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from function.core.charsets import is_utf_8
from function.core.options import OPTIONS, Unusable, read_options, refuse_misspelt, refuse_repeated, typed
from function.core.problems import Problem
from function.core.reading import Malformed, decoded, parse_json
from function.core.texts import PAIR_FORM
from function.web.http import Request
from vaccel_common import tracing

#: Content encoding -> zlib's numbers for its header; some clients send deflate without one (RFC 9110, 8.4.1.2).
_WINDOWS = {"gzip": (31,), "x-gzip": (31,), "deflate": (15, -15)}
#: Members of one gzip body, which may be a file that grew by appending.
_MEMBERS = 128
#: How each of them begins (RFC 1952, 2.3.1), or what has arrived of that.
_GZIP = b"\x1f"
#: What the query string may have besides the options, for lines.
_SUMMARY = "summary"


def read_body(request: Request, limit: int) -> bytes:
    """The body, inflated, of at most ``limit`` bytes as sent and as inflated. Raises `Problem` (413, 415) and `Malformed`."""
    # Not the library's stream, which would limit once more what every server here has limited.
    body: bytes = request.environ["wsgi.input"].read(limit + 1)
    if len(body) > limit:
        raise _too_large(f"the body is too large; at most {limit} bytes (MAX_BODY)")
    encodings = request.environ.get("HTTP_CONTENT_ENCODING")
    return _inflated(body, encodings, limit) if encodings else body


def text_of(body: bytes, charset: str) -> str:
    """The text in a body that says its charset. Raises `Malformed`, and `Problem` (415) for an unknown charset."""
    try:
        return decoded(body, charset)
    except (LookupError, ValueError) as error:
        if isinstance(error, Malformed):
            raise
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"unknown charset {charset[:40]!r}; send UTF-8") from None


def json_in(body: bytes, charset: str, what: str = "the body") -> Any:
    """The JSON in a body that says its charset: JSON is in UTF-8. Raises `Malformed`, `Unusable`, `Problem` (415) for another charset."""
    refuse_charset(charset)
    return parse_json(body, what)


def refuse_charset(charset: str) -> None:
    """Raises `Problem` (415) unless the charset is UTF-8, or US-ASCII."""
    if charset != "utf-8" and not is_utf_8(charset):
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the charset must be UTF-8, not {charset[:40]}")


def query_options(request: Request) -> dict[str, Any]:
    """The options in the query string. Raises `Unusable`, also for one that is there twice, and for a name that is nearly one's."""
    if not request.query_string:
        return {}
    refuse_misspelt(request.args, (_SUMMARY,))
    if "text_pair" in request.args:
        raise Unusable(f'"text_pair" goes into the body, beside "text": {PAIR_FORM}')
    refuse_repeated((name, len(request.args.getlist(name))) for name in (*OPTIONS, _SUMMARY))
    summary_of(request)
    options = typed(request.args)
    # A wrong value is reported even where a value in the body takes precedence.
    read_options(options)
    return options


def summary_of(request: Request) -> bool:
    """Whether a stream of lines ends with a summary; only the query string can ask for one. Raises `Unusable`."""
    value = request.args.get(_SUMMARY, "false")
    if value not in ("true", "false"):
        raise Unusable(f'"{_SUMMARY}" must be true or false')
    return value == "true"


def trace_of(request: Request) -> dict[str, str]:
    """The trace that a request belongs to; empty where it names none, or an invalid one."""
    environ = request.environ
    if "HTTP_TRACEPARENT" not in environ and not tracing.on():
        return {}
    return tracing.received(lambda name: environ.get(f"HTTP_{name.upper().replace('-', '_')}"))


def metadata_of(request: Request) -> Mapping[str, str]:
    """The metadata for the agent: the trace, with the request's own span as parent where it has one."""
    return tracing.child_of(request.span, request.trace)


def _inflated(body: bytes, encodings: str, limit: int) -> bytes:
    names = [name for part in encodings.lower().split(",") if (name := part.strip()) not in ("", "identity")]
    if len(names) > 1 or not _WINDOWS.keys() >= set(names):
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"the content encoding must be gzip, deflate or none, not {encodings[:80]}",
            {"Accept-Encoding": "gzip, deflate"},
        )
    for name in names:
        body = _members(body, name, limit)
    return body


def _members(body: bytes, name: str, limit: int) -> bytes:
    """The content of a compressed body: one member, or several of gzip, which zeros may follow, as gzip allows."""
    inflated = b""
    most = _MEMBERS if "gzip" in name else 1
    for _ in range(most):
        inflate, data = _decompress(body, name, limit + 1 - len(inflated))
        inflated += data
        if len(inflated) > limit:
            raise _too_large(f"the inflated body is too large; at most {limit} bytes (MAX_BODY)")
        if not inflate.eof:
            raise Malformed(f"the {name} body is truncated")
        body = inflate.unused_data.lstrip(b"\0")
        if not body:
            return inflated
        if most == 1 or not body.startswith(_GZIP):
            raise Malformed(f"other data follows the {name} body")
    raise Malformed(f"the {name} body has more than {most} members")


def _decompress(body: bytes, name: str, limit: int) -> tuple[Any, bytes]:
    """The decompressor and at most ``limit`` bytes of its output. Raises `Malformed`."""
    problem = ""
    for window in _WINDOWS[name]:
        inflate = zlib.decompressobj(window)
        try:
            return inflate, inflate.decompress(body, limit)
        except zlib.error as error:
            problem = problem or str(error)
    if "header check" in problem:
        raise Malformed(f"the body is not {name}")
    wrong = "its checksum is wrong" if "data check" in problem or "length check" in problem else "it cannot be inflated"
    raise Malformed(f"the {name} body is damaged: {wrong}")


def _too_large(detail: str) -> Problem:
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)
