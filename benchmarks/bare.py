"""The function's HTTP server with an application that does nothing:
``PORT=8080 python -m benchmarks.bare``.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast

from function.environ import DirectResponse
from function.server.application import Application, MakeDirect, ServerLimits
from function.server.connections import Connections, ConnectionTimeouts, connection_limit
from function.server.listening import listen
from function.server.serving import HttpServer
from function.telemetry.access import Access

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_ANSWER = b'{"label":"neither"}\n'


def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Reads the body and returns the smallest response."""
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(_ANSWER)))])
    return [_ANSWER]


async def answer(_: Any, body: bytes) -> DirectResponse | None:
    """The same response to a request with a body, in the event loop, as the function answers most requests."""
    if not body:
        return None
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_ANSWER))]
    return 200, headers, _ANSWER, _nothing


def application(wsgi: WSGIApplication, direct: MakeDirect | None = None) -> Application:
    """The function's ASGI application on top of a WSGI one, with the function's default limits."""
    return Application(wsgi, ServerLimits(threads=128, max_body=1 << 20, max_buffer=64 << 20, read_timeout=10), direct)


def serve(wsgi: WSGIApplication, port: int, direct: MakeDirect | None = None) -> None:
    """Serves a WSGI application with the function's server."""
    # This application refuses nothing, so nothing needs to be counted.
    connections = Connections(ConnectionTimeouts(read=10, write=60, idle=75), connection_limit(None), cast(Access, None))
    server = HttpServer(application(wsgi, direct), connections, grace=1, listening=_nothing, ending=_nothing)
    server.run([listen("127.0.0.1", port)])


def _nothing() -> None:
    pass


if __name__ == "__main__":
    serve(app, int(os.environ["PORT"]), lambda _: answer)
