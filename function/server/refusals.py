"""What a request is refused with before the application sees it: the limits of its head, the problems, and their bytes."""

from __future__ import annotations

import json
import time
from email.utils import formatdate
from http import HTTPStatus

from function.core.problems import Problem
from function.telemetry.access import request_id

#: Bytes of a request line with its headers.
MAX_HEAD = 32 << 10
#: Bytes of chunk sizes, extensions and trailers, besides an allowance for each byte of the body.
MAX_FRAMING = 16 << 10


def request_timeout(seconds: float) -> Problem:
    """408: the request did not arrive completely within so many seconds."""
    return Problem(HTTPStatus.REQUEST_TIMEOUT, f"the request did not arrive within {seconds:g} s (READ_TIMEOUT_S)")


def head_too_large() -> Problem:
    """431: the head is larger than `MAX_HEAD`."""
    detail = f"the request line and headers are too large; at most {MAX_HEAD} bytes together"
    return Problem(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, detail)


def framing_too_large() -> Problem:
    """431: the chunks have more than `MAX_FRAMING` around them."""
    detail = f"the chunks' extensions or trailers are too large; at most {MAX_FRAMING} bytes together"
    return Problem(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, detail)


def bad_target() -> Problem:
    """400: the target is neither a path nor an absolute URL."""
    return Problem(HTTPStatus.BAD_REQUEST, "the target must begin with a slash, or be an absolute URL")


def encoded(problem: Problem) -> tuple[bytes, str]:
    """A complete response with ``problem``, after which the connection is closed; and the response's request id."""
    new_id = request_id(None)
    body = json.dumps(problem.body()).encode() + b"\n"
    headers = {**problem.headers, "Date": formatdate(time.time(), usegmt=True), "Content-Type": "application/problem+json"}
    headers |= {"Content-Length": str(len(body)), "X-Request-Id": new_id, "X-Content-Type-Options": "nosniff"}
    lines = [f"HTTP/1.1 {int(problem.status)} {problem.status.phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "Connection: close\r\n\r\n"]).encode() + body, new_id
