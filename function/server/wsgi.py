"""A complete ASGI request as a WSGI environment, and the application's response. Sources: PEP 3333; ASGI's HTTP specification."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from function.core.caching import cached_if_short
from function.environ import LINES

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_SCHEMES = ("http", "https")


@dataclass(slots=True)
class WsgiResponse:
    """A complete response; ``close`` must be called once, when it has been sent. Header names are in lower case."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    close: Callable[[], None]


def environ_of(scope: Any, body: bytes) -> dict[str, Any]:
    """The WSGI environment of a scope's request with this complete ``body``."""
    host, port = scope.get("server") or ("function", 80)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["path"].encode("utf-8", "surrogateescape").decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": "HTTP/" + scope["http_version"],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    if scope.get("client"):
        environ["REMOTE_ADDR"] = scope["client"][0]
    for name, value in scope["headers"]:
        key = _key(name)
        if key:
            text = value.decode("latin-1")
            environ[key] = f"{environ[key]},{text}" if key in environ else text
    # The length of the body as it was read: it may have been chunked.
    environ["CONTENT_LENGTH"] = str(len(body))
    forwarded = environ.get("HTTP_X_FORWARDED_PROTO", "").partition(",")[0].strip().lower()
    if forwarded in _SCHEMES:
        environ["wsgi.url_scheme"] = forwarded
    return environ


@cached_if_short(256)
def _key(name: bytes) -> str | None:
    """A header's key in the environment; None for a header that is left out."""
    # In the environment X_Y and X-Y are the same key, so X_Y is left out: it could forge the other. Framing was handled by the server.
    if b"_" in name or name in (b"transfer-encoding", b"expect"):
        return None
    key = name.decode("latin-1").upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else "HTTP_" + key


def call(app: WSGIApplication, environ: dict[str, Any]) -> WsgiResponse:
    """Calls the application and returns its complete response."""
    started: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> Callable[[bytes], None]:
        started[:] = status, headers
        return _no_write

    parts: Iterable[bytes] = app(environ, start_response)
    body = b"".join(parts)
    status, headers = started
    pairs = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    if environ.get(LINES) is None and not any(name == b"content-length" for name, _ in pairs):
        pairs.append((b"content-length", b"%d" % len(body)))
    return WsgiResponse(int(status[:3]), pairs, body, getattr(parts, "close", _nothing))


def _no_write(_: bytes) -> None:
    raise NotImplementedError("the application must return its body as an iterable")


def _nothing() -> None:
    pass
