"""Metrics on a port of their own, which no ingress leads to, under any runtime."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from function.server.listening import listen

#: Connections that wait while one is answered.
_BACKLOG = 8
#: Seconds for which a connection may send or take nothing.
_TIMEOUT_S = 2.0

#: The exposition's media type and bytes.
Exposition = Callable[[], tuple[str, bytes]]


class MetricsExporter:
    """Serves ``GET /metrics`` on ``host`` and ``port`` (0: any free one), one connection after the other. Raises ``OSError``, ``UnicodeError``.

    A cold start pays for the socket alone: the library is imported with the first connection.
    """

    def __init__(self, host: str, port: int, exposition: Exposition) -> None:
        self._exposition = exposition
        self._listener = listen(host, port)
        self._listener.listen(_BACKLOG)
        self.address: tuple[str, int] = self._listener.getsockname()[:2]
        threading.Thread(target=self._serve, name="metrics", daemon=True).start()

    def close(self) -> None:
        """Stops listening."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)

    def _serve(self) -> None:
        select.select([self._listener], [], [])
        handler = _handler(self._exposition)
        with self._listener, suppress(OSError):
            while True:
                connection, address = self._listener.accept()
                with connection, suppress(OSError):
                    handler(connection, address, None)


def _handler(exposition: Exposition) -> Callable[[socket.socket, Any, Any], object]:
    from http.server import BaseHTTPRequestHandler

    class Scrape(BaseHTTPRequestHandler):
        """A connection with one request."""

        timeout = _TIMEOUT_S
        server_version, sys_version = "function", ""

        def do_GET(self) -> None:
            """``/metrics``; other paths are not found."""
            if self.path.partition("?")[0] != "/metrics":
                self.send_error(404, explain="This port has /metrics alone.")
                return
            kind, body = exposition()
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Scrapes are in no log."""

    return Scrape
