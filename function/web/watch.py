"""What every request leaves behind: an id, the times of its parts, a count, a line in the log. And ``GET /metrics``."""

from __future__ import annotations

import logging
import re
import threading
import time
import uuid
from functools import cached_property
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, g, request

from function.asked import Asked
from function.classify import Classified
from function.service import Service
from function.web.body import trace_of
from vaccel_rpc import tracing

if TYPE_CHECKING:
    from function.metrics import Metrics

_log = logging.getLogger("function.access")
_ID = re.compile(r"[\w.:/+=@-]{1,128}", re.ASCII)
_UNMATCHED = "none"


class Watch:
    """Watches the requests of one application."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._making = threading.Lock()

    @cached_property
    def metrics(self) -> Metrics:
        """Made with the first request that is over."""
        with self._making:
            if "metrics" in self.__dict__:
                return self.__dict__["metrics"]  # type: ignore[no-any-return]
            from function.metrics import Metrics

            return self.__dict__.setdefault("metrics", Metrics(self._service))  # type: ignore[no-any-return]

    def begin(self) -> None:
        """Flask: before a request."""
        g.began = time.perf_counter()
        given = request.headers.get("X-Request-Id", "")
        g.request_id = given if _ID.fullmatch(given) else uuid.uuid4().hex
        g.span = tracing.start(f"{request.method} {_route()}", trace_of(request), server=True)

    def end(self, response: Response) -> Response:
        """Flask: after a request; what is left is done when the answer has been sent."""
        began, done, asked = g.began, g.get("done"), g.get("asked")
        response.headers["X-Request-Id"] = g.request_id
        response.headers["Server-Timing"] = _timing(time.perf_counter() - began, done, self._service)
        route, span = _route(), g.span
        told = {"method": request.method, "path": request.path, "status": response.status_code, "request_id": g.request_id}
        if traceparent := request.headers.get("traceparent"):
            told["traceparent"] = traceparent[:64]

        def over() -> None:
            seconds = time.perf_counter() - began
            if tracing.on():
                _finish(span, route, told)
            self.metrics.request(route, response.status_code, seconds)
            if done:
                self.metrics.classified(done)
            if not route.startswith(("/health/", "/metrics")):
                self._tell(told, seconds, done, asked)

        response.call_on_close(over)
        return response

    def _tell(self, told: dict[str, Any], seconds: float, done: Classified | None, asked: Asked | None) -> None:
        told["ms"] = round(1000 * seconds, 3)
        if done:
            told["texts"] = len(done.items)
        if asked and self._service.log_texts:
            told["input"] = [str(text) for text in asked.texts]
        level = logging.WARNING if told["status"] >= 500 else logging.INFO
        _log.log(level, " ".join(f"{name}={value}" for name, value in told.items()), extra={"fields": told})


def add(app: Flask, service: Service) -> None:
    """Adds the watching and the route."""
    watch = Watch(service)

    def metrics() -> Response:
        from function.metrics import CONTENT_TYPE

        return Response(watch.metrics.exposition(), content_type=CONTENT_TYPE)

    app.before_request(watch.begin)
    app.after_request(watch.end)
    app.add_url_rule("/metrics", "metrics", metrics)


def _route() -> str:
    return request.url_rule.rule if request.url_rule else _UNMATCHED


def _finish(span: tracing.Span, route: str, told: dict[str, Any]) -> None:
    """Ends a request's span. Source: OpenTelemetry's semantic conventions for HTTP servers."""
    span.set("http.request.method", told["method"])
    span.set("http.route", route)
    span.set("http.response.status_code", told["status"])
    span.set("request.id", told["request_id"])
    if told["status"] >= 500:
        span.fail(str(told["status"]))
    span.end()


def _timing(seconds: float, done: Classified | None, service: Service) -> str:
    parts = {"total": seconds}
    if done:
        spent = done.spent
        parts = {"tokenize": spent.tokenize, "queue": spent.queue, "forward": spent.forward, **parts}
    times = [f"{name};dur={1000 * value:.2f}" for name, value in parts.items()]
    if done:
        times.insert(1, f'rpc;dur={1000 * done.spent.rpc:.2f};desc="{service.agents()[0][0]}"')
    return ", ".join(times)
