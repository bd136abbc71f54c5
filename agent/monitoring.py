"""Serves metrics and health over HTTP: ``/metrics``, ``/healthz`` and ``/readyz``."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from agent.metrics import AgentMetrics
from agent.webserver import TEXT, Page, PageRequest, WebServer

#: Why a probe is to fail; None where it is not.
Problem = Callable[[], str | None]


class MonitoringServer(WebServer):
    """An HTTP server on ``bind`` (host, port). Raises ``OSError`` where it cannot listen.

    ``unready``, ``ill``: why ``/readyz`` and ``/healthz`` are 503.
    """

    def __init__(self, bind: tuple[str, int], metrics: AgentMetrics, unready: Problem, ill: Problem) -> None:
        self._metrics, self._unready, self._ill = metrics, unready, ill
        super().__init__(bind, "metrics")

    def page(self, request: PageRequest) -> Page:
        """The metrics, or a word about the agent's health."""
        if request.path == "/metrics":
            return Page("200 OK", CONTENT_TYPE_LATEST, generate_latest(self._metrics.registry))
        if request.path == "/healthz":
            return _probe("ok", "not healthy", self._ill())
        if request.path == "/readyz":
            return _probe("ready", "not ready", self._unready())
        return Page("404 Not Found", TEXT, b"not found; this server has /metrics, /healthz and /readyz\n")


def _probe(fine: str, failing: str, problem: str | None) -> Page:
    if problem is None:
        return Page("200 OK", TEXT, f"{fine}\n".encode())
    return Page("503 Service Unavailable", TEXT, f"{failing}: {problem}\n".encode())
