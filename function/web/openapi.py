"""``GET /openapi.json``."""

from __future__ import annotations

from flask import Flask, Response, jsonify

from function.service import Service


def add(app: Flask, service: Service) -> None:
    """Adds the route."""

    def openapi() -> Response:
        # Made when it is asked for: it has no part in a cold start.
        from function.openapi import document

        return jsonify(document(service))

    app.add_url_rule("/openapi.json", "openapi", openapi)
