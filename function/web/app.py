"""The WSGI application: every route, the errors, and what all answers have in common."""

from __future__ import annotations

import logging
from http import HTTPStatus

from flask import Flask, Response, g, jsonify, request
from werkzeug.exceptions import HTTPException

from function.problems import Problem, problem_of
from function.service import Service
from function.web import health, inference, openapi, page, plain, watch

_log = logging.getLogger("function")
_ALWAYS = ("/health/", "/v2/health/", "/metrics")
_SECURITY = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}
_CORS_SECONDS = 600


def create_app(service: Service) -> Flask:
    """The application over ``service``."""
    app = Flask("function", static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined] # the default provider has it
    watch.add(app, service)
    app.before_request(lambda: _admit(service))
    for face in (plain, health, inference, page, openapi):
        face.add(app, service)
    app.after_request(lambda response: _finish(response, service))
    app.register_error_handler(Exception, _failed)
    return app


def _admit(service: Service) -> None:
    """Refuses a request past the limit at once; health and metrics are always answered."""
    if request.path.startswith(_ALWAYS):
        return
    if not service.requests.enter():
        detail = f"{service.requests.most} requests are being answered, the limit (THREADS)"
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, {"Retry-After": "1"})
    g.admitted = True


def _finish(response: Response, service: Service) -> Response:
    if g.pop("admitted", None):
        response.call_on_close(service.requests.leave)
    for name, value in _SECURITY.items():
        response.headers.setdefault(name, value)
    origin = request.headers.get("Origin")
    if origin and ("*" in service.cors_origins or origin in service.cors_origins):
        _allow(response, origin)
    return response


def _allow(response: Response, origin: str) -> None:
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers["Access-Control-Expose-Headers"] = "X-Request-Id, Server-Timing, Retry-After"
    response.vary.add("Origin")
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
        response.headers["Access-Control-Allow-Methods"] = response.headers.get("Allow", "GET, POST")
        response.headers["Access-Control-Allow-Headers"] = request.headers.get("Access-Control-Request-Headers", "Content-Type")
        response.headers["Access-Control-Max-Age"] = str(_CORS_SECONDS)


def _failed(error: Exception) -> Response:
    problem = _as_problem(error)
    if request.path.startswith(inference.PREFIX + "/") or request.path == inference.PREFIX:
        response = jsonify(error=problem.detail)
    else:
        response = jsonify(problem.body())
        response.mimetype = "application/problem+json"
    response.status_code = problem.status
    response.headers.update(problem.headers)
    return response


def _as_problem(error: Exception) -> Problem:
    problem = problem_of(error)
    if problem:
        return problem
    if isinstance(error, HTTPException):
        headers = {name: value for name, value in error.get_headers() if name in ("Allow", "Location")}
        return Problem(HTTPStatus(error.code or 500), error.description or "", headers)
    if isinstance(error, ConnectionError):
        return Problem(HTTPStatus.BAD_REQUEST, "the connection ended before the body did")
    _log.error("%s %s failed", request.method, request.path, exc_info=error)
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the function failed; its log says more")
