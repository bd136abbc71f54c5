"""``GET /``: the page for a browser, or what the service says of itself for a program."""

from __future__ import annotations

from flask import Flask, Response, abort, jsonify, request

from function.service import Service
from function.web.health import about

_CACHE = "public, max-age=300"


def add(app: Flask, service: Service) -> None:
    """Adds the routes."""

    def root() -> Response:
        if request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html":
            return _asset("index.html", "no-cache")
        response = jsonify(about(service))
        response.vary.add("Accept")
        return response

    def asset(name: str) -> Response:
        return _asset(name, _CACHE)

    app.add_url_rule("/", "page", root)
    app.add_url_rule("/page/<name>", "asset", asset)


def _asset(name: str, cache: str) -> Response:
    from function.page import CONTENT_SECURITY_POLICY, asset

    try:
        kind, data = asset(name)
    except KeyError:
        abort(404)
    headers = {"Content-Security-Policy": CONTENT_SECURITY_POLICY, "Cache-Control": cache, "Vary": "Accept"}
    return Response(data, content_type=kind, headers=headers)
