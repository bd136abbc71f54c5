"""The function under today's Knative Functions runtime (func-python, ASGI): the one application, in threads of its own."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from function.config import ConfigError, from_env
from vaccel_rpc import log
from vaccel_rpc.modelfile import ModelFileError

if TYPE_CHECKING:
    from function.assembly import Function

_log = logging.getLogger("function")


class _Body:
    """a2wsgi's body, whose own ``readline`` takes a limit for a length that is there already."""

    def __init__(self, body: Any) -> None:
        self._body = body

    def read(self, size: int = -1) -> bytes:
        data: bytes = self._body.read(size)
        return data

    def readline(self, limit: int = -1) -> bytes:
        held = self._body.buffer
        while (end := held.find(b"\n") + 1) == 0 and self._body._has_more and not 0 <= limit <= len(held):  # noqa: SLF001
            held.extend(self._body._receive_more_data())  # noqa: SLF001
        end = end or len(held)
        return self.read(end if limit < 0 else min(end, limit)) if held else b""


class AsgiFunction:
    """What ``function.new()`` gives the runtime, which calls these methods."""

    def __init__(self) -> None:
        self._function: Function | None = None
        self._app: Any = None

    def start(self, env: Mapping[str, str]) -> None:
        """Reads the model's tokenizer and begins to connect to the agent. Ends the process with one line where it cannot."""
        from a2wsgi import WSGIMiddleware

        from function.assembly import assemble

        try:
            config = from_env(env)
            log.configure(config.log_format, config.log_level)
            function = self._function = assemble(config)
        except (ConfigError, ModelFileError) as error:
            # An exception would come out as a page of traceback, and the runtime would try to go on.
            os.write(2, f"function: {error}\n".encode())
            os._exit(2)

        def terminated(environ: dict[str, Any], start_response: Any) -> Any:
            # The body ends where the request does, with a Content-Length or without one.
            environ["wsgi.input_terminated"] = True
            environ["wsgi.input"] = _Body(environ["wsgi.input"])
            return function.app(environ, start_response)

        self._app = WSGIMiddleware(terminated, workers=config.threads + 8)

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        """One request; what blocks runs in a thread."""
        try:
            await self._app(scope, receive, send)
        except Exception as error:  # noqa: BLE001 the runtime would send its text to the client
            _log.warning("%s %s: the client went away: %s", scope["method"], scope["path"], type(error).__name__)

    def alive(self) -> tuple[bool, str]:
        """The runtime's liveness."""
        return True, "alive"

    def ready(self) -> tuple[bool, str]:
        """The runtime's readiness."""
        reason = self._function.not_ready() if self._function else "starting"
        return reason is None, reason or "ready"

    def stop(self) -> None:
        """The runtime ends: no longer ready, and the agent's connection is closed."""
        if self._function:
            self._function.drain()
            self._function.close()
