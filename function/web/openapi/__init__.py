"""``GET /openapi.json``."""

from __future__ import annotations

from collections.abc import Iterator

from function.core.service import ClassifyService
from function.web.http import Request, Response, Route, in_json


def routes(service: ClassifyService) -> Iterator[Route]:
    """The route of the document."""

    def openapi(_: Request) -> Response:
        # Imported at the first request for it: it has no part in a cold start.
        from function.web.openapi.document import document

        return in_json(document(service))

    yield "/openapi.json", openapi, "GET"
