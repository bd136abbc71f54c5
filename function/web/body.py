"""A request's body, within its limits, inflated; and the options in its query string."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from function.asked import Malformed
from function.options import read_options, typed
from function.problems import Problem
from function.web.http import Request
from vaccel_rpc import tracing

#: A body too large is read and dropped up to here, so that the client reads the answer and not a reset.
_DRAIN = 64 << 20
_CHUNK = 1 << 16
_GZIP = 31  # zlib's number for: a gzip header, the largest window


def read_body(asked: Request, most: int) -> bytes:
    """The body, of at most ``most`` bytes, inflated too. Raises `Problem` (408, 413, 415) and `Malformed`."""
    try:
        body = _whole(asked, most)
    except ValueError as error:
        if isinstance(error, Malformed):
            raise
        raise Malformed(f"the chunked body cannot be read: {error}") from None
    except TimeoutError:
        raise Problem(HTTPStatus.REQUEST_TIMEOUT, "the body did not arrive in time") from None
    encoding = asked.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding in ("identity", ""):
        return body
    if encoding not in ("gzip", "x-gzip"):
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"the content encoding must be gzip or none, not {encoding}",
            {"Accept-Encoding": "gzip"},
        )
    return _inflated(body, most)


def query_options(asked: Request) -> dict[str, Any]:
    """The options in the query string; ``errors`` is about a list of texts, and goes with it. Raises `Unusable`."""
    if not asked.query_string:
        return {}
    options = {name: value for name, value in typed(asked.args).items() if name != "errors"}
    # A wrong one is said even where the body's own goes before it.
    read_options(options)
    return options


def trace_of(asked: Request) -> dict[str, str]:
    """The trace that a request belongs to; empty where it names none, or no valid one."""
    environ = asked.environ
    if "HTTP_TRACEPARENT" not in environ and not tracing.on():
        return {}
    return tracing.received(lambda name: environ.get(f"HTTP_{name.upper().replace('-', '_')}"))


def metadata_of(asked: Request) -> Mapping[str, str]:
    """What goes on to the agent: the trace, with the request's own span as parent where it has one."""
    return tracing.child_of(asked.span, trace_of(asked))


def _whole(asked: Request, most: int) -> bytes:
    expected = asked.content_length
    # Not the library's stream, which limits again what every server here has limited.
    stream = asked.environ["wsgi.input"]
    if (expected or 0) <= most:
        body: bytes = stream.read(most + 1)
        if len(body) < (expected or 0):
            raise Malformed(f"the body ended after {len(body)} of {expected} bytes")
        if len(body) <= most:
            return body
    left = _DRAIN
    while left > 0 and (chunk := stream.read(min(_CHUNK, left))):
        left -= len(chunk)
    raise _too_large(f"the body is too large; at most {most} bytes (MAX_BODY)")


def _inflated(body: bytes, most: int) -> bytes:
    inflate = zlib.decompressobj(_GZIP)
    try:
        data = inflate.decompress(body, most + 1)
    except zlib.error as error:
        raise Malformed(f"the body is not gzip: {error}") from None
    if len(data) > most:
        raise _too_large(f"the inflated body is too large; at most {most} bytes (MAX_BODY)")
    if not inflate.eof or inflate.unused_data:
        raise Malformed("the gzip body is cut short, or something follows it")
    return data


def _too_large(detail: str) -> Problem:
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)
