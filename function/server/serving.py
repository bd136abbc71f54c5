"""The production server: uvicorn in one process, from a listening socket to SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import math
import socket
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn

from function.server.connection import HttpConnection
from function.server.connections import Connections

if TYPE_CHECKING:
    from function.server.application import Application

_log = logging.getLogger("function.server")

#: Connections that may wait to be accepted: a burst of clients is queued, not refused.
BACKLOG = 1024


class HttpServer(uvicorn.Server):
    """Serves ``app`` on a socket.

    ``grace``: seconds for requests that have begun to arrive or are being answered, from SIGTERM or
    SIGINT on. ``listening`` is called when connections are accepted, ``ending`` when a signal arrives.
    """

    def __init__(
        self, app: Application, connections: Connections, *, grace: float, listening: Callable[[], None], ending: Callable[[], None]
    ) -> None:  # fmt: skip
        protocol = type("Connection", (HttpConnection,), {"group": connections})
        super().__init__(
            uvicorn.Config(
                app, http=protocol, ws="none", loop="uvloop", lifespan="off", interface="asgi3", log_config=None, access_log=False,
                proxy_headers=False, server_header=False, backlog=BACKLOG,
                timeout_graceful_shutdown=math.ceil(grace),
            )
        )  # fmt: skip
        self._connections, self._listening, self._ending = connections, listening, ending
        # Below that level it repeats what the function's own log says.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts to accept connections."""
        asyncio.get_running_loop().set_exception_handler(_one_line_a_second())
        await super().startup(sockets)
        self._timeouts = asyncio.ensure_future(self._connections.enforce_timeouts())
        self._listening()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 as the library calls it
        """Handles SIGTERM and SIGINT: requests that have begun to arrive are answered, then `run` returns."""
        self._ending()
        self.should_exit = True


def _one_line_a_second() -> Callable[[asyncio.AbstractEventLoop, dict[str, object]], None]:
    """An event loop's exception handler: a flood of errors, such as of missing file descriptors, does not fill the log."""
    last = float("-inf")

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        nonlocal last
        if loop.time() - last >= 1:
            last = loop.time()
            error = context.get("exception")
            _log.warning("%s: %s", context.get("message"), error if isinstance(error, BaseException) else "")

    return handle
