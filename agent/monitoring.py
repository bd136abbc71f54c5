"""Serves metrics and health over HTTP: ``/metrics``, ``/healthz`` and ``/readyz``."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

from cheroot.wsgi import Server
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from agent.metrics import AgentMetrics


class MonitoringServer:
    """An HTTP server on ``bind`` (host, port). Raises ``OSError`` where it cannot listen."""

    def __init__(self, bind: tuple[str, int], metrics: AgentMetrics, ready: Callable[[], bool]) -> None:
        self._metrics, self._ready = metrics, ready
        self._server = Server(bind, self._answer, numthreads=2, max=4)
        self._server.prepare()
        self.address: tuple[str, int] = self._server.bind_addr
        threading.Thread(target=self._server.serve, name="metrics", daemon=True).start()

    def stop(self) -> None:
        """Stops listening."""
        self._server.stop()

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        status, content_type, body = self._page(environ["PATH_INFO"])
        start_response(status, [("Content-Type", content_type), ("Content-Length", str(len(body)))])
        return [body if environ["REQUEST_METHOD"] != "HEAD" else b""]

    def _page(self, path: str) -> tuple[str, str, bytes]:
        text = "text/plain; charset=utf-8"
        if path == "/metrics":
            return "200 OK", CONTENT_TYPE_LATEST, generate_latest(self._metrics.registry)
        if path == "/healthz":
            return "200 OK", text, b"ok\n"
        if path == "/readyz":
            return ("200 OK", text, b"ready\n") if self._ready() else ("503 Service Unavailable", text, b"not ready\n")
        return "404 Not Found", text, b"not found; this server has /metrics, /healthz and /readyz\n"
