"""A request with what the application learns about it, and responses in JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from flask import Request as _Request
from flask import Response as Response
from flask import request
from werkzeug.http import parse_options_header

from function.core.caching import cached_if_short
from function.environ import WAITED
from vaccel_common import tracing

if TYPE_CHECKING:
    from function.core.classifier import Classification
    from function.core.problems import Problem
    from function.core.request import ClassifyRequest

JSON = "application/json"
#: Where the routes of the inference protocol begin.
INFERENCE = "/v2"

#: A view answers a request; the variable parts of its path are the other arguments. A route is a path, a view and a method.
View = Callable[..., "Response"]
Route = tuple[str, View, str]

#: Headers of every response.
SECURITY = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}

_ENCODED_SECURITY = [(name.lower().encode(), value.encode()) for name, value in SECURITY.items()]

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class Request(_Request):
    """A request. ``route``: the pattern it matched; ``trace``: what it belongs to; ``classify_request``, ``classification``: set by the way in."""

    route = "none"
    id = ""
    admitted = False
    trace: Mapping[str, str] = MappingProxyType({})
    classify_request: ClassifyRequest | None = None
    classification: Classification | None = None

    def __init__(self, environ: dict[str, Any]) -> None:
        # Not put into its own environment: the reference cycle would wait for the garbage collector.
        super().__init__(environ, populate_request=False)
        self.began = time.perf_counter() - environ.get(WAITED, 0.0)
        self.span = tracing.Span()

    @property
    def matched(self) -> bool:
        """Whether there is a route for its path and method."""
        return self.route != Request.route

    @property
    def kind(self) -> str:
        """The content type without its parameters, in lower case; empty where there is none."""
        return _parsed(self.environ.get("CONTENT_TYPE", ""))[0]

    @property
    def charset(self) -> str:
        """The content type's charset; UTF-8 where it names none."""
        return _parsed(self.environ.get("CONTENT_TYPE", ""))[1]


def current() -> Request:
    """The request that this thread answers."""
    current_request: Request = request._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 Werkzeug documents it
    return current_request


@cached_if_short(64)
def _parsed(content_type: str) -> tuple[str, str]:
    kind, parameters = parse_options_header(content_type)
    return kind.lower(), parameters.get("charset", "utf-8")


def in_json(data: Any, status: int = HTTPStatus.OK, kind: str = JSON) -> Response:
    """A response with JSON."""
    return Response(encoded(data), status, content_type=kind)


def raw_headers(
    kind: str, body: bytes, name: str, timing: str, others: Mapping[str, str] | None = None
) -> list[tuple[bytes, bytes]]:
    """The headers of a response that is made in the event loop, in the application's order.

    ``kind``: its content type. ``name``: the request's id. ``timing``: see `function.web.middleware.timing`.
    """
    return [
        (b"content-type", kind.encode()),
        (b"content-length", b"%d" % len(body)),
        *((each.lower().encode(), value.encode()) for each, value in (others or {}).items()),
        *_ENCODED_SECURITY,
        (b"x-request-id", name.encode()),
        (b"server-timing", timing.encode()),
    ]


def problem_text(path: str, problem: Problem) -> tuple[str, str]:
    """The content type and the body of a problem; those under `INFERENCE` have the error of the inference protocol."""
    if path == INFERENCE or path.startswith(INFERENCE + "/"):
        return JSON, encoded({"error": problem.detail})
    return "application/problem+json", encoded(problem.body())


def encoded(data: Any) -> str:
    """The line of JSON that a response consists of."""
    return _encode(data) + "\n"
