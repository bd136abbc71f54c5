"""Plays Knative's activator for one container: holds requests, starts it, forwards, stops it when it is idle."""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

from tests.containers.bench import Container

_PORT = 8080
_PROBE_S = 0.01
_FORWARD_S = 30.0


class NotStartedError(Exception):
    """The container did not become ready in time."""


@dataclass(frozen=True)
class Start:
    """One cold start, in seconds: podman's own part, and all until the container was ready."""

    runtime: float
    ready: float


class Activator:
    """Serves on a port of its own; ``make`` starts a container that answers ``path`` with 200 at ``address`` when it is ready."""

    def __init__(
        self,
        make: Callable[[], Container],
        remove: Callable[[Container], None],
        address: str,
        path: str,
        *,
        idle: float = 0.5,
        limit: float = 30.0,
    ) -> None:
        self._make, self._remove, self._address, self._path = make, remove, address, path
        self._idle, self._limit = idle, limit
        self.starts: list[Start] = []
        self.container: Container | None = None
        self.stopping = threading.Event()
        self._in_flight, self._last = 0, 0.0
        # Held while the container starts and stops: who comes meanwhile waits, as in the activator's queue.
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._threads = [threading.Thread(target=work) for work in (self._server.serve_forever, self._watch)]

    @property
    def url(self) -> str:
        """Where clients send their requests."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Activator:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        for thread in self._threads:
            thread.join()
        if self.container:
            self._remove(self.container)

    def wait_for_zero(self, seconds: float = 30) -> None:
        """Waits until no container is left."""
        end = time.monotonic() + seconds
        while self.container:
            assert time.monotonic() < end, "the container was not stopped"
            time.sleep(0.01)

    @contextlib.contextmanager
    def held(self) -> Iterator[Container | None]:
        """The container, which is not stopped meanwhile."""
        with self._lock:
            self._in_flight += 1
        try:
            yield self.container
        finally:
            self._leave()

    def forward(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str, bytes]:
        """The container's answer: status, content type, body. Raises `NotStartedError`."""
        with self._lock:
            if self.container is None:
                self._cold_start()
            self._in_flight += 1
        try:
            connection = http.client.HTTPConnection(self._address, _PORT, timeout=_FORWARD_S)
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.getheader("Content-Type", ""), answer.read()
        finally:
            self._leave()

    def _leave(self) -> None:
        with self._lock:
            self._in_flight -= 1
            self._last = time.monotonic()

    def _cold_start(self) -> None:
        began = time.monotonic()
        container = self._make()
        runtime = time.monotonic() - began
        while not self._ready():
            if time.monotonic() - began > self._limit:
                self._remove(container)
                raise NotStartedError(f"not ready within {self._limit:g} s")
            time.sleep(_PROBE_S)
        self.starts.append(Start(runtime, time.monotonic() - began))
        self.container, self._last = container, time.monotonic()

    def _ready(self) -> bool:
        try:
            connection = http.client.HTTPConnection(self._address, _PORT, timeout=1)
            connection.request("GET", self._path)
            return connection.getresponse().status == 200
        except OSError:
            return False

    def _watch(self) -> None:
        while not self._ended.wait(0.01):
            with self._lock:
                container = self.container
                if container and not self._in_flight and time.monotonic() - self._last > self._idle:
                    self.stopping.set()
                    container.signal("TERM")
                    if container.wait(20) is None:
                        raise AssertionError(f"{container.name} did not end")
                    self._remove(container)
                    self.container = None
                    self.stopping.clear()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        activator = self

        class HoldingHandler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                kept = {"Content-Type": self.headers.get("Content-Type", "application/octet-stream")}
                try:
                    status, kind, answer = activator.forward("POST", self.path, kept, body)
                except (NotStartedError, OSError) as error:
                    status, kind, answer = 504, "text/plain", str(error).encode()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 as the library names it
                """Says nothing."""

        return HoldingHandler
