"""Serves metrics and health over HTTP: ``/metrics``, ``/healthz`` and ``/readyz``."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

from cheroot.wsgi import Server
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from agent.metrics import AgentMetrics

_TEXT = "text/plain; charset=utf-8"
#: Why a probe is to fail; None where it is not.
Problem = Callable[[], str | None]


class MonitoringServer:
    """An HTTP server on ``bind`` (host, port). Raises ``OSError`` where it cannot listen.

    ``unready``, ``ill``: why ``/readyz`` and ``/healthz`` are 503.
    """

    def __init__(self, bind: tuple[str, int], metrics: AgentMetrics, unready: Problem, ill: Problem) -> None:
        self._metrics, self._unready, self._ill = metrics, unready, ill
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
        if path == "/metrics":
            return "200 OK", CONTENT_TYPE_LATEST, generate_latest(self._metrics.registry)
        if path == "/healthz":
            return _probe("ok", "not healthy", self._ill())
        if path == "/readyz":
            return _probe("ready", "not ready", self._unready())
        return "404 Not Found", _TEXT, b"not found; this server has /metrics, /healthz and /readyz\n"


def _probe(fine: str, failing: str, problem: str | None) -> tuple[str, str, bytes]:
    if problem is None:
        return "200 OK", _TEXT, f"{fine}\n".encode()
    return "503 Service Unavailable", _TEXT, f"{failing}: {problem}\n".encode()
