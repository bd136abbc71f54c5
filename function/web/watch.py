"""What every request leaves behind: an id, the times of its parts, a count, a line in the log. And ``GET /metrics``."""

from __future__ import annotations

import logging
import re
import threading
import time
import uuid
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from function.classify import Classified
from function.service import Service
from function.web.body import trace_of
from function.web.http import Request, Response, Route
from vaccel_rpc import tracing

if TYPE_CHECKING:
    from function.metrics import Metrics

_log = logging.getLogger("function.access")
_ID = re.compile(r"[\w.:/+=@-]{1,128}", re.ASCII)


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

    def routes(self) -> Iterator[Route]:
        """Its route."""

        def exposition(_: Request) -> Response:
            from function.metrics import CONTENT_TYPE

            return Response(self.metrics.exposition(), content_type=CONTENT_TYPE)

        yield "/metrics", exposition, "GET"

    def begin(self, given: Request) -> None:
        """Before a request is answered."""
        asked = given.headers.get("X-Request-Id", "")
        given.id = asked if _ID.fullmatch(asked) else uuid.uuid4().hex
        given.span = tracing.start(f"{given.method} {given.route}", trace_of(given), server=True)

    def end(self, given: Request, response: Response) -> None:
        """After it; what is left is done when the answer has been sent."""
        done = given.done
        response.headers["X-Request-Id"] = given.id
        response.headers["Server-Timing"] = _timing(time.perf_counter() - given.began, done, self._service)
        told = {"method": given.method, "path": given.path, "status": response.status_code, "request_id": given.id}
        if traceparent := given.headers.get("traceparent"):
            told["traceparent"] = traceparent[:64]

        def over() -> None:
            seconds = time.perf_counter() - given.began
            if tracing.on():
                _finish(given, told)
            self.metrics.request(given.route, response.status_code, seconds)
            if done:
                self.metrics.classified(done)
            if not given.route.startswith(("/health/", "/metrics")):
                self._tell(told, seconds, given)

        response.call_on_close(over)

    def _tell(self, told: dict[str, Any], seconds: float, given: Request) -> None:
        level = logging.WARNING if told["status"] >= 500 else logging.INFO
        if not _log.isEnabledFor(level):
            return
        told["ms"] = round(1000 * seconds, 3)
        if given.done:
            told["texts"] = len(given.done.items)
        if given.asked and self._service.log_texts:
            told["input"] = [str(text) for text in given.asked.texts]
        _log.log(level, " ".join(f"{name}={value}" for name, value in told.items()), extra={"fields": told})


def _finish(given: Request, told: dict[str, Any]) -> None:
    """Ends a request's span. Source: OpenTelemetry's semantic conventions for HTTP servers."""
    span = given.span
    span.set("http.request.method", told["method"])
    span.set("http.route", given.route)
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
