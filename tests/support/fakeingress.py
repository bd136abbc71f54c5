"""Plays the ingress and two Knative Services behind it that scale to zero: the function, and a hello world."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.clusterkinds import NAMESPACE, ready, stamp
from tests.support.fakecluster import FakeCluster

Json = dict[str, Any]
SCORES = {"hate-speech": 0.01, "offensive-language": 0.04, "neither": 0.95}
#: What is broken -> status, headers and body of the response to a classification: the server's own failure, the function's
#: where it reaches no agent, the activator's where no pod became ready in time.
_FAILURES: dict[str, tuple[int, dict[str, str], str]] = {
    "error": (500, {}, "Internal Server Error"),
    "alone": (503, {"Retry-After": "1", "Content-Type": "application/problem+json"},
              json.dumps({"title": "Service Unavailable", "status": 503, "detail": "no agent can be reached: tcp://vaccel-agent:8888"})),
    "held": (504, {}, "activator request timeout\n"),
}  # fmt: skip
MODEL = {"name": "tweets", "sha256": "ab" * 32}


@dataclass
class FakeKnativeService:
    """A Knative Service. Its first request starts a pod, which takes ``start`` seconds; looked at six times in idleness it is gone."""

    name: str
    start: float
    looks: int = 0
    busy: int = 0
    starts: int = 0

    @property
    def host(self) -> str:
        return f"{self.name}.{NAMESPACE}.example.com"

    @property
    def hosts(self) -> tuple[str, str]:
        """Its names outside and inside the cluster."""
        return self.host, f"{self.name}.{NAMESPACE}.svc"


@dataclass
class FakeIngress:
    """``broken``: what goes wrong, one of the words that `_broken` and `Ingress` look for.

    ``draining``: how many looks at a pod that ends there are until it is gone. ``unrouted``: how many requests are still answered
    404, as an ingress does until it has the route of a new service.
    """

    cluster: FakeCluster
    services: list[FakeKnativeService]
    broken: str = ""
    draining: int = 2
    unrouted: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock)
    hosts: list[str] = field(default_factory=list)

    def route(self, host: str) -> FakeKnativeService | None:
        """The service for a request's Host; None: the ingress knows none, or not yet."""
        with self.lock:
            self.hosts.append(host)
            self.unrouted -= 1
            if self.unrouted >= 0:
                return None
        return next(
            (candidate for candidate in self.services if host.partition(":")[0] in candidate.hosts and self._exists(candidate)),
            None,
        )

    def _exists(self, service: FakeKnativeService) -> bool:
        return ("serving.knative.dev", "services", NAMESPACE, service.name) in self.cluster.objects

    def serve(self, service: FakeKnativeService, body: Any) -> Json | None:
        """The answer to one request; None: the connection is dropped."""
        with self.lock:
            service.busy += 1
            cold = not self._pods(service)
            if cold:
                self._start(service)
        time.sleep(service.start if cold else 0)
        with self.lock:
            service.busy -= 1
            service.looks = 0
        if cold and service.starts > 1 and self.broken == "lost":
            return None
        return self._answer(body)

    def _start(self, service: FakeKnativeService) -> None:
        service.starts += 1
        self._lead(service, "Serve")
        if self.broken != "elsewhere":
            labels = {"serving.knative.dev/service": service.name}
            self.cluster.add(
                "v1", "Pod", f"{service.name}-{service.starts}", labels=labels, spec={}, status={"conditions": [ready()]}
            )
        if service.starts > 1:
            self._hurt()

    def _hurt(self) -> None:
        agent = next(stored for stored in self.cluster.objects.values() if stored["metadata"]["name"] == "agent-1")
        if self.broken == "restart":
            agent["status"]["containerStatuses"][0] |= {"restartCount": 1, "containerID": "containerd://other"}
        if self.broken == "reload":
            code, text = self.cluster.proxied["agent-1", "/metrics"]  # type: ignore[misc] # it is a pair here
            self.cluster.proxied["agent-1", "/metrics"] = code, text.replace('{model="tweets"} 1.0', '{model="tweets"} 2.0')
        if self.broken == "replaced":
            agent["metadata"]["uid"] = "another"

    def _answer(self, body: Any) -> Json:
        if not body:
            return {"hello": "world"}
        scores = SCORES
        if self.broken == "labels":
            scores = {**SCORES, "nonsense": 0.0}
        elif self.broken == "sum":
            scores = {**SCORES, "neither": 0.5}
        elif self.broken == "moody":
            shift = 0.01 * (len(self.hosts) // 2 % 2)
            scores = {**SCORES, "neither": 0.95 - shift, "hate-speech": 0.01 + shift}
        prediction = {"label": "neither", "score": scores["neither"], "scores": scores}
        if "text" in body:
            return {**prediction, "model": MODEL}
        texts = body["texts"][1:] if self.broken == "few" else body["texts"]
        return {"predictions": [prediction for _ in texts], "model": MODEL}

    def _pods(self, service: FakeKnativeService) -> list[Json]:
        """The pods that take requests."""
        return [pod for pod in self._existing(service) if "deletionTimestamp" not in pod["metadata"]]

    def _existing(self, service: FakeKnativeService) -> list[Json]:
        return [
            pod
            for (_, plural, _, name), pod in self.cluster.objects.items()
            if plural == "pods" and name.startswith(f"{service.name}-")
        ]

    def _lead(self, service: FakeKnativeService, mode: str) -> None:
        """Leads requests to the activator (Proxy), or past it (Serve)."""
        labels = {"serving.knative.dev/service": service.name}
        name = f"{service.name}-00001"
        self.cluster.add(
            "networking.internal.knative.dev/v1alpha1", "ServerlessService", name, labels=labels, spec={"mode": mode}
        )

    def tick(self) -> None:
        """Scales to zero what is idle: first the activator takes the requests, then a pod drains, then it is gone."""
        with self.lock:
            for service in self.services:
                for pod in self._existing(service):
                    pod["looks"] = pod.get("looks", 0) + ("deletionTimestamp" in pod["metadata"])
                    if pod["looks"] > self.draining:
                        self.cluster.remove("pods", pod["metadata"]["name"])
                service.looks += 1
                if self.broken != "awake" and not service.busy and service.looks > 5:
                    if self.broken != "past":
                        self._lead(service, "Proxy")
                    for pod in self._pods(service):
                        pod["metadata"]["deletionTimestamp"] = stamp(datetime.now(UTC))


@contextmanager
def fake_ingress(cluster: FakeCluster, broken: str = "") -> Iterator[tuple[FakeIngress, str]]:
    """The ingress and its ``host:port``; the function and a hello-world are in the cluster, and vaccel-hello may be deployed."""
    services = [
        FakeKnativeService("vaccel-function", 0.15),
        FakeKnativeService("hello", 0.05),
        FakeKnativeService("vaccel-hello", 0.05),
    ]
    for service in services[:2]:
        spec = {
            "template": {"metadata": {"annotations": {"autoscaling.knative.dev/min-scale": "1" if broken == "kept" else "0"}}}
        }
        cluster.add("serving.knative.dev/v1", "Service", service.name, spec=spec)
    ingress = FakeIngress(cluster, services, broken)
    cluster.lock = ingress.lock  # one lock for both, or each would wait for the other
    cluster.tick = ingress.tick

    class Ingress(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            service = ingress.route(self.headers["Host"])
            if service is None:
                self.send_error(404)
                return
            response = ingress.serve(service, json.loads(body) if body else None)
            if response is None:
                self.connection.close()
                return
            code, headers, text = _FAILURES.get(ingress.broken if body else "", (200, {}, json.dumps(response)))
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST  # noqa: N815 the server's name

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Ingress)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield ingress, f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
