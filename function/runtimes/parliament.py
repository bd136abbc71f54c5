"""The function under the parliament runtime, which reads a request completely and passes it to the one
application."""

from __future__ import annotations

import io
import logging
import os
import sys
from typing import Any

from werkzeug.wrappers import Request, Response

from function.assembly import Function, assemble
from function.config import from_env
from vaccel_common import log
from vaccel_common.modelfile import ModelFileError
from vaccel_common.options import ConfigError


class Parliament:
    """The assembled function, which `function.func` holds. Exits with one line if it cannot be assembled."""

    def __init__(self) -> None:
        self._function = _assembled()
        # The runtime warns about every request that is not an event, and about every event that it
        # cannot read; the application's response says so.
        logging.getLogger("parliament.server").setLevel(logging.ERROR)

    def answer(self, request: Request) -> Response:
        """The application's answer to a request whose body parliament has read into memory."""
        body = request.get_data()
        environ: dict[str, Any] = {**request.environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        return Response.from_app(self._function.app, environ)


def _assembled() -> Function:
    try:
        config = from_env(os.environ)
        log.configure(config.log_format, config.log_level)
        return assemble(config)
    except (ConfigError, ModelFileError) as error:
        sys.exit(f"function: {error}")
