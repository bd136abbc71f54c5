"""``GET /``: the page for a browser, and JSON about the service for a program."""

from __future__ import annotations

from collections.abc import Iterator

from werkzeug.exceptions import NotFound

from function.core.service import ClassifyService
from function.web.health import about
from function.web.http import Request, Response, Route, in_json

_CACHE = "public, max-age=300"


def routes(service: ClassifyService) -> Iterator[Route]:
    """The routes of the page and its files."""

    def root(request: Request) -> Response:
        if request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html":
            return _asset("index.html", "no-cache")
        response = in_json(about(service))
        response.vary.add("Accept")
        return response

    def state(_: Request) -> Response:
        # What `GET /` says, under a path of its own: an open page is not a request of the service.
        return in_json(about(service))

    def asset(_: Request, name: str) -> Response:
        return _asset(name, _CACHE)

    yield "/", root, "GET"
    yield "/page/state", state, "GET"
    yield "/page/<name>", asset, "GET"


def _asset(name: str, cache: str) -> Response:
    from function.web.page.files import CONTENT_SECURITY_POLICY, asset

    try:
        kind, data = asset(name)
    except KeyError:
        raise NotFound from None
    headers = {"Content-Security-Policy": CONTENT_SECURITY_POLICY, "Cache-Control": cache, "Vary": "Accept"}
    return Response(data, content_type=kind, headers=headers)
