"""The span of a request. Source: OpenTelemetry's semantic conventions for HTTP servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from function.telemetry.access import Entry
from function.web.http import Request
from vaccel_common import tracing

if TYPE_CHECKING:
    from vaccel_common.tracing import Span

#: The methods that the conventions know. A name that a client invents would be a span name of its own.
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"))
_SAFE = "/!$&'()*+,;=:@~"


def begin(request: Request) -> Span:
    """Starts the request's span, named by method and route, or by the method alone where no route matched."""
    if not tracing.on():
        return tracing.NOTHING
    known = request.method in _METHODS
    words = [request.method if known else "HTTP", *([request.route] if request.matched else [])]
    return tracing.start(" ".join(words), request.trace, server=True, attributes=_attributes(request, known=known))


def end(request: Request, entry: Entry) -> None:
    """Ends the span with the response's status."""
    span = request.span
    span.set("http.response.status_code", entry.status)
    span.set("request.id", entry.id)
    if entry.status >= 500:
        span.fail("", str(entry.status))
    span.end()


def _attributes(request: Request, *, known: bool) -> dict[str, str | int]:
    """The attributes that are known before the request is answered, so that a sampler has them."""
    from urllib.parse import quote

    environ = request.environ
    found: dict[str, str | int] = {
        "http.request.method": request.method if known else "_OTHER",
        "url.path": quote(environ["PATH_INFO"].encode("latin-1"), safe=_SAFE),
        "url.scheme": environ["wsgi.url_scheme"],
        "network.protocol.version": environ["SERVER_PROTOCOL"].partition("/")[2],
    }
    if not known:
        found["http.request.method_original"] = request.method
    if request.matched:
        found["http.route"] = request.route
    address, port = _divided(environ.get("HTTP_HOST", ""))
    if address:
        found["server.address"] = address
    if port:
        found["server.port"] = int(port)
    return found


def _divided(host: str) -> tuple[str, str]:
    """The name or address in a Host header, and its port if it has one."""
    name, colon, port = host.rpartition(":")
    if not colon or not port.isdecimal() or len(port) > 5:
        name, port = host.removesuffix(":"), ""
    return name.removeprefix("[").removesuffix("]"), port
