"""``GET /openapi.json``."""

from __future__ import annotations

from collections.abc import Iterator

from function.core.service import ClassifyService
from function.web.http import Request, Response, Route, in_json


def routes(service: ClassifyService) -> Iterator[Route]:
    """Its route."""

    def openapi(_: Request) -> Response:
        # Made when it is asked for: it has no part in a cold start.
        from function.web.openapi.document import document

        return in_json(document(service))

    yield "/openapi.json", openapi, "GET"
