"""The routes. The only module that knows Flask."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from flask import Flask, Request, Response, jsonify, request
from werkzeug.exceptions import HTTPException

from function.classify import Classifier, Prediction
from function.problems import Problem, from_rpc
from function.requests import Limits, Texts, read
from vaccel_rpc.errors import RpcError

_log = logging.getLogger("function")

#: A body too large is read and dropped up to here, so that the client reads the answer and not a reset.
_DRAIN = 64 << 20
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Served:
    """What the routes need: ``not_ready()`` says why the function cannot answer now, or None; ``model`` is shown in answers."""

    classifier: Callable[[], Classifier]
    model: dict[str, str | None]
    not_ready: Callable[[], str | None]
    limits: Limits
    timeout: float
    max_body: int


def create_app(served: Served) -> Flask:
    """The WSGI application."""
    app = Flask("function", static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined] # the default provider has it

    def classify() -> Response:
        asked = read(
            _body(request, served.max_body), request.mimetype, request.mimetype_params.get("charset", "utf-8"), served.limits
        )
        return jsonify(_answer(asked, served.classifier().classify(asked.texts, served.timeout), served.model))

    def ready() -> Response:
        reason = served.not_ready()
        if reason:
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, reason, {"Retry-After": "1"})
        return jsonify(status="ready")

    app.add_url_rule("/classify", "classify", classify, methods=["POST"])
    app.add_url_rule("/", "root", classify, methods=["POST"])
    app.add_url_rule("/health/liveness", "live", lambda: jsonify(status="alive"))
    app.add_url_rule("/health/readiness", "ready", ready)
    app.register_error_handler(Exception, _problem)
    return app


def _answer(asked: Texts, predictions: list[Prediction], model: dict[str, str | None]) -> dict[str, Any]:
    if asked.many:
        return {"predictions": [_shown(prediction) for prediction in predictions], "model": model}
    return {**_shown(predictions[0]), "model": model}


def _shown(prediction: Prediction) -> dict[str, Any]:
    shown = {"label": prediction.label, "score": prediction.score, "scores": prediction.scores, "tokens": prediction.tokens}
    return {**shown, "truncated": True} if prediction.truncated else shown


def _body(asked: Request, most: int) -> bytes:
    """The request's body. Raises `Problem` (413) after reading past one that is too large."""
    if (asked.content_length or 0) <= most:
        body = asked.stream.read(most + 1)
        if len(body) <= most:
            return body
    left = _DRAIN
    while left > 0 and (chunk := asked.stream.read(min(_CHUNK, left))):
        left -= len(chunk)
    raise Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is too large; at most {most} bytes (MAX_BODY)", {"Connection": "close"}
    )


def _problem(error: Exception) -> Response:
    problem = _as_problem(error)
    response = jsonify(problem.body())
    response.status_code, response.mimetype = problem.status, "application/problem+json"
    response.headers.update(problem.headers)
    # A probe that finds it not ready is no news.
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR and not request.path.startswith("/health/"):
        _log.warning("%s %s: %d %s", request.method, request.path, problem.status, problem.detail)
    return response


def _as_problem(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, RpcError):
        _log.info("agent: %s: %s", error.name, error.message)
        return from_rpc(error)
    if isinstance(error, HTTPException):
        headers = {name: value for name, value in error.get_headers() if name == "Allow"}
        return Problem(HTTPStatus(error.code or 500), error.description or "", headers)
    _log.error("%s %s failed", request.method, request.path, exc_info=error)
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the function failed; its log says more")
