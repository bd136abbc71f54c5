"""``GET /``: the page for a browser, or what the service says of itself for a program."""

from __future__ import annotations

from flask import Flask, Response, jsonify

from function.service import Service
from function.web.health import about


def add(app: Flask, service: Service) -> None:
    """Adds the routes."""

    def root() -> Response:
        return jsonify(about(service))

    app.add_url_rule("/", "page", root)
