"""Requests that the server refuses, answered in the event loop: no thread, no WSGI.

A thousand clients that are too slow are answered with 408 again and again, beside others that are
not to notice. A refusal with which the application has more to do (a trace, CORS, a route that does
not exist) takes the way of `app`, which this module answers like.
"""

from __future__ import annotations

import time
from typing import Any

from flask import Flask
from werkzeug.exceptions import HTTPException

from function.core.problems import Problem
from function.environ import DirectResponse
from function.telemetry.access import Access, Entry, request_id
from function.web.http import problem_text, raw_headers
from function.web.middleware import timing
from vaccel_common import tracing

#: Headers of which the application makes something, whatever becomes of the request.
_OTHERS = frozenset((b"origin", b"traceparent"))


class Refusals:
    """Answers the requests of ``app`` that the server refuses, and records them in ``access``."""

    def __init__(self, app: Flask, access: Access) -> None:
        self._routes, self._access = app.url_map.bind("function"), access

    def __call__(self, scope: Any, problem: Problem, waited: float) -> DirectResponse | None:
        """The response; None where the application has to give it. ``waited``: seconds since the request's first byte."""
        began = time.perf_counter() - waited
        route = self._route(scope)
        if route is None or tracing.on() or any(name in _OTHERS for name, _ in scope["headers"]):
            return None
        sent_ids = [value for name, value in scope["headers"] if name == b"x-request-id"]
        name = request_id(b",".join(sent_ids).decode("latin-1"))
        kind, text = problem_text(scope["path"], problem)
        body = text.encode()
        headers = raw_headers(kind, body, name, timing(time.perf_counter() - began), problem.headers)
        status = int(problem.status)

        def close() -> None:
            seconds = time.perf_counter() - began
            self._access.record(Entry(scope["method"], scope["path"], route, status, name, seconds))

        return status, headers, body, close

    def _route(self, scope: Any) -> str | None:
        """The pattern that the request matches; None where there is none."""
        if scope["path"].startswith("//"):
            return None
        try:
            rule, _ = self._routes.match(scope["path"], scope["method"], return_rule=True)
        except HTTPException:
            return None
        return str(rule.rule)
