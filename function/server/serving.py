"""The production server: uvicorn, in one process, from a socket to SIGTERM."""

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
from function.server.connections import Connections, quiet

if TYPE_CHECKING:
    from function.server.application import Application

#: Connections that may wait to be accepted: a burst of clients is queued, not refused.
BACKLOG = 1024
_DAY_S = 86_400


class HttpServer(uvicorn.Server):
    """Serves ``app`` on a socket; ``listening`` is called when it does, ``ending`` when it is told to end.

    ``grace``: seconds for what has begun to arrive or to be answered, from SIGTERM or SIGINT on.
    """

    def __init__(
        self, app: Application, connections: Connections, *, grace: float, listening: Callable[[], None], ending: Callable[[], None]
    ) -> None:  # fmt: skip
        protocol = type("Connection", (HttpConnection,), {"group": connections})
        # `Connections` has the times; the library's own timer never ends one.
        super().__init__(
            uvicorn.Config(
                app, http=protocol, ws="none", loop="uvloop", lifespan="off", interface="asgi3", log_config=None, access_log=False,
                proxy_headers=False, server_header=False, backlog=BACKLOG, timeout_keep_alive=_DAY_S,
                timeout_graceful_shutdown=math.ceil(grace),
            )
        )  # fmt: skip
        self._connections, self._listening, self._ending = connections, listening, ending
        # It says what the function's own log says.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listens."""
        asyncio.get_running_loop().set_exception_handler(quiet())
        await super().startup(sockets)
        self._watching = asyncio.ensure_future(self._connections.watch())
        self._listening()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 as the library calls it
        """SIGTERM or SIGINT: what has begun to arrive is answered, then `run` returns."""
        self._ending()
        self.should_exit = True
