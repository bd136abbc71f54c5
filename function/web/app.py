"""The WSGI application: every route, the errors, and the headers that all responses share."""

from __future__ import annotations

import logging
from http import HTTPStatus

from flask import Flask
from werkzeug.exceptions import HTTPException, NotFound

from function.core.problems import Problem, problem_of, unforeseen
from function.core.service import ClassifyService
from function.environ import REFUSAL
from function.telemetry.access import Access
from function.web import health, inference, middleware, openapi, page, plain
from function.web.http import SECURITY, Request, Response, View, current, problem_text
from function.web.unrouted import known_paths, unrouted

_log = logging.getLogger("function")
_ALWAYS = ("/health/", "/v2/health/", "/metrics")
_CORS_SECONDS = 600


def create_app(service: ClassifyService, access: Access) -> Flask:
    """The application for ``service``; every request is recorded in ``access``."""
    app = Flask("function", static_folder=None)
    # A path with two slashes is another path: no redirect.
    app.url_map.merge_slashes = False
    app.request_class, app.response_class = Request, Response
    observing = middleware.Middleware(service, access)
    routes = *plain.routes(service), *health.routes(service), *inference.routes(service), *page.routes(service)
    for path, view, method in (*routes, *openapi.routes(service), *observing.routes()):
        app.add_url_rule(path, f"{method} {path}", _answering(view), methods=[method])

    def begin() -> None:
        request = current()
        # The library drops slashes at the beginning of a path.
        other = request.environ["PATH_INFO"].startswith("//")
        request.route = request.url_rule.rule if request.url_rule and not other else request.route
        observing.begin(request)
        refusal: Problem | None = request.environ.get(REFUSAL)
        # Where the route does not exist either, the route is the error to report.
        if refusal and not (refusal.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE and request.routing_exception):
            raise refusal
        if other:
            raise NotFound
        _admit(request, service)

    def end(response: Response) -> Response:
        request = current()
        _finish(request, response, service)
        observing.end(request, response)
        return response

    app.before_request(begin)
    app.after_request(end)
    paths = known_paths(app.url_map, str(service.model["name"]))
    app.register_error_handler(Exception, lambda error: _failed(current(), error, paths))
    return app


def _answering(view: View) -> View:
    return lambda **parts: view(current(), **parts)


def _admit(request: Request, service: ClassifyService) -> None:
    """Refuses a request beyond the concurrency limit at once; health and metrics are always answered."""
    if request.path.startswith(_ALWAYS):
        return
    if not service.requests.acquire():
        detail = f"{service.requests.limit} requests are being answered: the concurrency limit (THREADS) is reached"
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, {"Retry-After": "1"})
    request.admitted = True


def _finish(request: Request, response: Response, service: ClassifyService) -> None:
    if request.admitted:
        response.call_on_close(service.requests.release)
    for name, value in SECURITY.items():
        response.headers.setdefault(name, value)
    origin = request.headers.get("Origin")
    if origin and ("*" in service.cors_origins or origin in service.cors_origins):
        _allow(request, response, origin)


def _allow(request: Request, response: Response, origin: str) -> None:
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers["Access-Control-Expose-Headers"] = "X-Request-Id, Server-Timing, Retry-After"
    response.vary.add("Origin")
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
        response.headers["Access-Control-Allow-Methods"] = response.headers.get("Allow", "GET, POST")
        response.headers["Access-Control-Allow-Headers"] = request.headers.get("Access-Control-Request-Headers", "Content-Type")
        response.headers["Access-Control-Max-Age"] = str(_CORS_SECONDS)


def _failed(request: Request, error: Exception, paths: list[str]) -> Response:
    problem = _as_problem(request, error, paths)
    kind, body = problem_text(request.path, problem)
    return Response(body, problem.status, problem.headers, content_type=kind)


def _as_problem(request: Request, error: Exception, paths: list[str]) -> Problem:
    problem = problem_of(error)
    if problem:
        return problem
    if isinstance(error, HTTPException):
        return unrouted(error, request, paths)
    _log.error("a request failed", exc_info=error, extra={"fields": {"method": request.method, "path": request.path}})
    return unforeseen()
