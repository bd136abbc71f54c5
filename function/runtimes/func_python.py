"""The function under the Knative Functions runtime func-python: the same ASGI application that
``python -m function`` serves."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from function.config import from_env
from vaccel_common import log
from vaccel_common.modelfile import ModelFileError
from vaccel_common.options import ConfigError

if TYPE_CHECKING:
    from function.assembly import Function
    from function.server.application import Application

_log = logging.getLogger("function")


class AsgiFunction:
    """What ``function.new()`` returns to the runtime, which calls these methods."""

    def __init__(self) -> None:
        self._function: Function | None = None
        self._app: Application | None = None

    def start(self, env: Mapping[str, str]) -> None:
        """Reads the model's tokenizer and begins to connect to the agent. Ends the process with one line where it cannot."""
        from function.assembly import assemble
        from function.server.listening import CannotListen

        try:
            config = from_env(env)
            log.configure(config.log_format, config.log_level)
            self._function = assemble(config)
        except (ConfigError, ModelFileError) as error:
            # The runtime would print the traceback of an exception and go on.
            os.write(2, f"function: {error}\n".encode())
            os._exit(1 if isinstance(error, CannotListen) else 2)
        self._app = self._function.asgi(config)

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers one request."""
        if self._app is None:
            raise RuntimeError("the runtime has not started the function")
        try:
            await self._app(scope, receive, send)
        except Exception as error:  # noqa: BLE001 the runtime would send its text to the client
            _log.warning("%s: the client went away: %s", scope["type"], type(error).__name__)

    def alive(self) -> tuple[bool, str]:
        """Whether the process serves, for the runtime's liveness probe."""
        return True, "alive"

    def ready(self) -> tuple[bool, str]:
        """Whether an agent can be reached, for the runtime's readiness probe."""
        reason = self._function.not_ready() if self._function else "starting"
        return reason is None, reason or "ready"

    def stop(self) -> None:
        """Called when the runtime ends: the function is no longer ready and closes its connection to the agent."""
        if self._function:
            self._function.drain()
            self._function.close()
