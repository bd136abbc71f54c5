"""The Open Inference Protocol v2 over REST, as KServe and Triton clients speak it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from flask import Flask, Response, g, jsonify, request

from function import __version__
from function import asked as asking
from function.asked import Malformed
from function.openinference import HEAD_LENGTH, VERSION, metadata, read_request
from function.options import Unusable
from function.problems import Problem
from function.service import Service
from function.web.body import metadata_of, read_body

PREFIX = "/v2"


def add(app: Flask, service: Service) -> None:
    """Adds the routes."""
    faces = _Inference(service)
    for path, view in (("", faces.server), ("/health/live", faces.live), ("/health/ready", faces.ready)):
        app.add_url_rule(PREFIX + path, f"v2_{view.__name__}", view)
    for middle in ("", "/versions/<version>"):
        path = f"{PREFIX}/models/<name>{middle}"
        app.add_url_rule(path, f"v2_model{middle}", faces.model)
        app.add_url_rule(f"{path}/ready", f"v2_model_ready{middle}", faces.model_ready)
        app.add_url_rule(f"{path}/infer", f"v2_infer{middle}", faces.infer, methods=["POST"])


class _Inference:
    def __init__(self, service: Service) -> None:
        self._service, self._name = service, str(service.model["name"])

    def server(self) -> Response:
        return jsonify(name="function", version=__version__, extensions=["binary_tensor_data"])

    def live(self) -> Response:
        return jsonify(live=True)

    def ready(self) -> Response:
        return self._readiness({})

    def model(self, name: str, version: str | None = None) -> Response:
        self._check(name, version)
        return jsonify(metadata(self._name, self._service.classifier.labels))

    def model_ready(self, name: str, version: str | None = None) -> Response:
        self._check(name, version)
        return self._readiness({"name": name})

    def infer(self, name: str, version: str | None = None) -> Response:
        self._check(name, version)
        try:
            asked = read_request(read_body(request, self._service.limits.body), request.headers.get(HEAD_LENGTH))
            g.asked = asking.of_texts(asked.texts, self._service.limits, asked.options, many=True)
            g.done = self._service.classify(g.asked, metadata_of(request))
        except (Unusable, Malformed) as error:
            raise Problem(HTTPStatus.BAD_REQUEST, str(error)) from None
        body, head = asked.answer(self._name, g.done.items, self._service.classifier.labels)
        if head is None:
            return Response(body, mimetype="application/json")
        return Response(body, mimetype="application/octet-stream", headers={HEAD_LENGTH: str(head)})

    def _check(self, name: str, version: str | None) -> None:
        if name != self._name:
            raise Problem(HTTPStatus.NOT_FOUND, f"no model {name[:80]!r} here; it is {self._name!r}")
        if version not in (None, VERSION):
            raise Problem(HTTPStatus.NOT_FOUND, f"no version {version[:80]!r} of {name!r}; it is {VERSION!r}")

    def _readiness(self, body: dict[str, Any]) -> Response:
        reason = self._service.not_ready()
        response = jsonify({**body, "ready": reason is None, **({"error": reason} if reason else {})})
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE if reason else HTTPStatus.OK
        return response
