"""Prometheus metrics, and health over HTTP: ``/metrics``, ``/healthz``, ``/readyz``."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from cheroot.wsgi import Server
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """What the agent counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._requests = Counter("vaccel_rpc_requests", "Calls answered", ("method", "code"), registry=self.registry)
        self._latency = Histogram(
            "vaccel_rpc_request_duration_seconds",
            "Time from a call to its answer",
            ("method",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._rows = Histogram("vaccel_batch_size", "Requests run together", buckets=_ROWS, registry=self.registry)
        self._waited = Histogram("vaccel_queue_duration_seconds", "Time in the queue", buckets=_SECONDS, registry=self.registry)
        self._ran = Histogram("vaccel_batch_duration_seconds", "Time in the model", buckets=_SECONDS, registry=self.registry)

    def call(self, method: str, code: str, seconds: float) -> None:
        """A call was answered."""
        self._requests.labels(method, code).inc()
        self._latency.labels(method).observe(seconds)

    def batch(self, rows: int, waited: float, seconds: float) -> None:
        """A batch ran; ``waited``: how long its oldest request was in the queue."""
        self._rows.observe(rows)
        self._waited.observe(waited)
        self._ran.observe(seconds)

    def gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        """A number that is read when it is asked for."""
        Gauge(name, text, registry=self.registry).set_function(value)


class MetricsServer:
    """Serves the metrics and the agent's health on ``host:port``. Raises ``OSError`` where it cannot listen."""

    def __init__(self, bind: tuple[str, int], metrics: Metrics, ready: Callable[[], bool]) -> None:
        self._metrics, self._ready = metrics, ready
        self._server = Server(bind, self._answer, numthreads=2, max=4)
        self._server.prepare()
        self.address: tuple[str, int] = self._server.bind_addr
        threading.Thread(target=self._server.serve, name="metrics", daemon=True).start()

    def stop(self) -> None:
        """Takes no more requests."""
        self._server.stop()

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        status, kind, body = self._page(environ["PATH_INFO"])
        start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [body if environ["REQUEST_METHOD"] != "HEAD" else b""]

    def _page(self, path: str) -> tuple[str, str, bytes]:
        text = "text/plain; charset=utf-8"
        if path == "/metrics":
            return "200 OK", CONTENT_TYPE_LATEST, generate_latest(self._metrics.registry)
        if path == "/healthz":
            return "200 OK", text, b"ok\n"
        if path == "/readyz":
            return ("200 OK", text, b"ready\n") if self._ready() else ("503 Service Unavailable", text, b"not ready\n")
        return "404 Not Found", text, b"there are /metrics, /healthz and /readyz\n"
