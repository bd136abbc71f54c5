"""The production server: ``python -m function``."""

from __future__ import annotations

import gc
import logging
import os
import socket
import sys
from typing import NoReturn

from function.assembly import assemble
from function.config import FunctionConfig, from_env
from function.server.listening import CannotListen, listen, shown
from function.telemetry.phases import Phases
from vaccel_common import log, process, streams
from vaccel_common.modelfile import ModelFileError
from vaccel_common.options import ConfigError

_log = logging.getLogger("function")


def main() -> None:
    """Serves until SIGTERM or SIGINT. Exit codes: 0, 1 where it cannot listen, 2 for a wrong setting."""
    # Modules and routes stay: to look through them for what nobody holds any more would cost a start, and every collection after.
    gc.disable()
    process.end_on_sigterm()
    streams.occupy()
    if len(sys.argv) > 1:
        _usage()
    try:
        config = from_env(os.environ)
        log.configure(config.log_format, config.log_level)
        _serve(config)
    except (ConfigError, ModelFileError) as error:
        _fail(str(error), 1 if isinstance(error, CannotListen) else 2)


def _serve(config: FunctionConfig) -> None:
    phases = Phases()
    function = assemble(config, phases)
    from function.server.connections import Connections, ConnectionTimeouts, connection_limit
    from function.server.serving import HttpServer

    timeouts = ConnectionTimeouts(config.read_timeout, config.write_timeout, config.keep_alive)
    connections = Connections(timeouts, connection_limit(config.max_connections), function.access)
    listener = _listener(config)

    def listening() -> None:
        phases.end("listen")
        _log.info("Listening on http://%s", shown(*listener.getsockname()[:2]))

    server = HttpServer(
        function.asgi(config), connections, grace=config.read_timeout + config.timeout, listening=listening, ending=function.drain
    )
    gc.freeze()
    gc.enable()
    server.run([listener])
    function.close()
    _log.info("Stopped")


def _listener(config: FunctionConfig) -> socket.socket:
    try:
        return listen(config.host, config.port)
    except (OSError, UnicodeError) as error:
        raise CannotListen(config.host, config.port, "PORT", error) from None


def _usage() -> None:
    from function.usage import usage

    if sys.argv[1:] not in (["--help"], ["-h"]):
        given = " ".join(sys.argv[1:])
        _fail(f"it takes no arguments, and has {given!r}; the environment sets it, and --help lists its variables", 2)
    streams.prepare()
    try:
        sys.stdout.write(usage() + "\n")
        sys.stdout.flush()
    except OSError as error:
        streams.give_up_output()
        _fail(streams.reason(error), 1)
    sys.exit(0)


def _fail(message: str, code: int) -> NoReturn:
    streams.tell(f"function: {message}")
    sys.exit(code)


if __name__ == "__main__":
    main()
