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
from function.config import FunctionConfig, from_env
from vaccel_common import log
from vaccel_common.modelfile import ModelFileError
from vaccel_common.options import ConfigError

#: Bytes of a body beyond MAX_BODY that the runtime's server still reads.
_EXCESS = 1 << 20


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
        _keep_in_memory(config)
        return assemble(config)
    except (ConfigError, ModelFileError) as error:
        sys.exit(f"function: {error}")


def _keep_in_memory(config: FunctionConfig) -> None:
    """Has the runtime's server hold bodies in memory, which it would put into temporary files, and refuse what is too large.

    The runtime serves with the defaults that are set here, after it has imported the handler.
    """
    from waitress.adjustments import Adjustments

    # A body that is a little too large still gets the application's answer.
    Adjustments.max_request_body_size = config.max_body + _EXCESS
    Adjustments.inbuf_overflow = Adjustments.max_request_body_size + 1
    # Pending output beyond the high-water mark stops the application, but for its last part.
    Adjustments.outbuf_overflow = 1 << 40
