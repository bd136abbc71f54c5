"""A small HTTP server in threads of its own, for operators rather than for clients."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from wsgiref.types import StartResponse, WSGIEnvironment

from cheroot.wsgi import Server

_THREADS = 2
_MAX_THREADS = 4
#: Bytes of a request's body.
_MAX_BODY = 64 << 10

TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True)
class Page:
    """An answer: ``status`` with its reason, and the body."""

    status: str
    content_type: str
    body: bytes


@dataclass(frozen=True)
class PageRequest:
    """A request. ``origin``: the site whose page a browser sent it from, empty where there is none."""

    method: str
    path: str
    body: bytes
    origin: str = ""


class WebServer(ABC):
    """A server on ``bind`` (host, port). Raises ``OSError`` where it cannot listen."""

    def __init__(self, bind: tuple[str, int], name: str) -> None:
        self._server = Server(bind, self._answer, numthreads=_THREADS, max=_MAX_THREADS)
        self._server.max_request_body_size = _MAX_BODY
        self._server.prepare()
        self.address: tuple[str, int] = self._server.bind_addr
        threading.Thread(target=self._server.serve, name=name, daemon=True).start()

    def stop(self) -> None:
        """Stops listening."""
        self._server.stop()

    @abstractmethod
    def page(self, request: PageRequest) -> Page:
        """The answer to a request; it is called in the server's threads."""

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        length = min(_MAX_BODY, int(environ.get("CONTENT_LENGTH") or 0))
        body = environ["wsgi.input"].read(length) if length else b""
        page = self.page(PageRequest(environ["REQUEST_METHOD"], environ["PATH_INFO"], body, environ.get("HTTP_ORIGIN", "")))
        start_response(page.status, [("Content-Type", page.content_type), ("Content-Length", str(len(page.body)))])
        return [page.body if environ["REQUEST_METHOD"] != "HEAD" else b""]
