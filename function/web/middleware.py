"""Gives every request of the application an id, the times of its parts, and an entry in `access`."""

from __future__ import annotations

import time
from collections.abc import Iterator

from function.core.classifier import Classification
from function.core.request import ClassifyRequest
from function.core.service import ClassifyService
from function.core.texts import Pair
from function.telemetry.access import Access, Entry, request_id
from function.web import spans
from function.web.body import trace_of
from function.web.http import Request, Response, Route
from vaccel_common import log, tracing


class Middleware:
    """Observes the requests of one application."""

    def __init__(self, service: ClassifyService, access: Access) -> None:
        self._service, self._access = service, access

    def routes(self) -> Iterator[Route]:
        """The route of the metrics, unless they have a port of their own."""

        def metrics(_: Request) -> Response:
            kind, body = self._access.exposition()
            return Response(body, content_type=kind)

        if self._service.metrics:
            yield "/metrics", metrics, "GET"

    def begin(self, request: Request) -> None:
        """Called before a request is answered."""
        request.id = request_id(request.environ.get("HTTP_X_REQUEST_ID"))
        request.trace = trace_of(request)
        request.span = spans.begin(request)
        # Set even where there is no trace: threads are reused.
        log.context.set(tracing.ids(request.span, request.trace))

    def end(self, request: Request, response: Response) -> None:
        """Called with the response. The entry is made once the response has been sent."""
        response.headers["X-Request-Id"] = request.id
        response.headers["Server-Timing"] = timing(time.perf_counter() - request.began, request.classification)

        trace = log.context.get()

        def over() -> None:
            entry = Entry(
                request.method, request.path, request.route, response.status_code, request.id, time.perf_counter() - request.began,
                trace=trace, done=request.classification,
                texts=_texts(request.classify_request) if request.classify_request and self._service.log_texts else None,
            )  # fmt: skip
            if tracing.on():
                spans.end(request, entry)
            self._access.record(entry)

        response.call_on_close(over)


def _texts(request: ClassifyRequest) -> list[str | dict[str, str]]:
    """A request's texts for the log: each as a string, a pair as an object."""
    return [text._asdict() if isinstance(text, Pair) else str(text) for text in request.texts]


def timing(seconds: float, done: Classification | None = None) -> str:
    """The value of ``Server-Timing``."""
    parts = {"total": seconds}
    if done:
        spent = done.spent
        parts = {"tokenize": spent.tokenize, "rpc": spent.rpc, "queue": spent.queue, "forward": spent.forward, **parts}
    return ", ".join([f"{name};dur={1000 * value:.2f}" for name, value in parts.items()])
