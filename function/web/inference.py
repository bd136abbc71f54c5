"""The Open Inference Protocol v2 over REST, as KServe and Triton clients speak it."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from function import __version__
from function.core import request as core_request
from function.core.openinference import HEAD_LENGTH, VERSION, metadata, read_request
from function.core.options import Unusable
from function.core.problems import Problem
from function.core.request import Malformed
from function.core.service import ClassifyService, without_agent
from function.web.body import metadata_of, read_body
from function.web.http import INFERENCE, Request, Response, Route, in_json


def routes(service: ClassifyService) -> Iterator[Route]:
    """The routes of the protocol."""
    views = _Inference(service)
    for path, view in (("", views.server), ("/health/live", views.live), ("/health/ready", views.ready)):
        yield INFERENCE + path, view, "GET"
    for middle in ("", "/versions/<version>"):
        path = f"{INFERENCE}/models/<name>{middle}"
        yield path, views.model, "GET"
        yield f"{path}/ready", views.model_ready, "GET"
        yield f"{path}/infer", views.infer, "POST"


class _Inference:
    def __init__(self, service: ClassifyService) -> None:
        self._service, self._name = service, str(service.model["name"])

    def server(self, _: Request) -> Response:
        return in_json({"name": "function", "version": __version__, "extensions": ["binary_tensor_data"]})

    def live(self, _: Request) -> Response:
        return in_json({"live": True})

    def ready(self, _: Request) -> Response:
        return self._readiness({}, self._service.not_ready())

    def model(self, _: Request, name: str, version: str | None = None) -> Response:
        self._check(name, version)
        classifier = self._service.classifier
        return in_json(metadata(self._name, classifier.labels, classifier.pairs, self._service.kind))

    def model_ready(self, _: Request, name: str, version: str | None = None) -> Response:
        self._check(name, version)
        # A probe of the function is told to send requests, which wait for an agent; of the model, that there is none.
        return self._readiness({"name": name}, self._service.not_ready() or self._without_agent())

    def infer(self, request: Request, name: str, version: str | None = None) -> Response:
        self._check(name, version)
        try:
            inference = read_request(read_body(request, self._service.limits.body), request.headers.get(HEAD_LENGTH))
            request.classify_request = core_request.of_texts(inference.texts, self._service.limits, inference.options, many=True)
            classification = request.classification = self._service.classify(request.classify_request, metadata_of(request))
        except (Unusable, Malformed) as error:
            raise Problem(HTTPStatus.BAD_REQUEST, str(error)) from None
        body, head = inference.answer(self._name, classification.items, self._service.classifier.labels)
        if head is None:
            return Response(body, mimetype="application/json")
        return Response(body, mimetype="application/octet-stream", headers={HEAD_LENGTH: str(head)})

    def _check(self, name: str, version: str | None) -> None:
        if name != self._name:
            raise Problem(HTTPStatus.NOT_FOUND, f"no model {name[:80]!r} here; it is {self._name!r}")
        if version not in (None, VERSION):
            raise Problem(HTTPStatus.NOT_FOUND, f"no version {version[:80]!r} of {name!r}; it is {VERSION!r}")

    def _without_agent(self) -> str | None:
        reason = without_agent(self._service.agents())
        return f"no agent: {reason}" if reason else None

    def _readiness(self, body: dict[str, Any], reason: str | None) -> Response:
        status = HTTPStatus.SERVICE_UNAVAILABLE if reason else HTTPStatus.OK
        return in_json({**body, "ready": reason is None, **({"error": reason} if reason else {})}, status)
