"""Liveness and readiness, and what the service says of itself."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from flask import Flask, Response, jsonify

from function.problems import Problem
from function.service import Service


def add(app: Flask, service: Service) -> None:
    """Adds the routes."""

    def live() -> Response:
        return jsonify(status="alive")

    def ready() -> Response:
        reason = service.not_ready()
        if reason:
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, reason, {"Retry-After": "1"})
        return jsonify(status="ready")

    app.add_url_rule("/health/liveness", "liveness", live)
    app.add_url_rule("/health/readiness", "readiness", ready)


def about(service: Service) -> dict[str, Any]:
    """What ``GET /`` answers to a program."""
    from function import __version__

    reason = service.not_ready()
    return {
        "service": "function",
        "version": __version__,
        "ready": reason is None,
        "reason": reason,
        "model": service.model,
        "labels": service.classifier.labels,
        "agents": [{"address": address, "reachable": reachable} for address, reachable in service.agents()],
        "limits": {"texts": service.limits.texts, "chars": service.limits.chars, "body": service.limits.body},
        "links": {
            "classify": "/classify",
            "openapi": "/openapi.json",
            "metrics": "/metrics",
            "inference": f"/v2/models/{service.model['name']}",
        },
    }
