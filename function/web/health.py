"""Liveness and readiness, and what the service says about itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from function.core.problems import Problem
from function.core.service import ClassifyService
from function.web.http import Request, Response, Route, in_json
from vaccel_rpc.history import AgentState


def routes(service: ClassifyService) -> Iterator[Route]:
    """The routes of the probes."""

    def live(_: Request) -> Response:
        return in_json({"status": "alive"})

    def ready(_: Request) -> Response:
        reason = service.not_ready()
        if reason:
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, reason, {"Retry-After": "1"})
        return in_json({"status": "ready"})

    yield "/health/liveness", live, "GET"
    yield "/health/readiness", ready, "GET"


def about(service: ClassifyService) -> dict[str, Any]:
    """The JSON with which ``GET /`` answers a program."""
    from function import __version__

    reason = service.not_ready()
    return {
        "service": "function",
        "version": __version__,
        "ready": reason is None,
        "reason": reason,
        "model": {**service.model, **service.about.json()},
        "labels": service.classifier.labels,
        "pairs": service.classifier.pairs,
        "problem_type": service.classifier.problem_type,
        "agents": [_agent(state) for state in service.agents()],
        "limits": {"texts": service.limits.texts, "chars": service.limits.chars, "body": service.limits.body},
        "links": {
            "classify": "/classify",
            "openapi": "/openapi.json",
            **({"metrics": "/metrics"} if service.metrics else {}),
            "inference": f"/v2/models/{service.model['name']}",
        },
    }


def _agent(state: AgentState) -> dict[str, Any]:
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(state.since))
    # Where the agent is, a client need not know: the log and the metrics say it.
    return {"state": state.state, "since": since, "reason": state.reason}
