"""The production server: ``python -m function``."""

from __future__ import annotations

import logging
import math
import signal
import sys
import threading
from typing import Any

from function.assembly import assemble
from function.config import VARIABLES, Config, ConfigError, from_env
from vaccel_rpc import log
from vaccel_rpc.modelfile import ModelFileError

_log = logging.getLogger("function")

#: Connections that may wait to be accepted: a burst of clients is queued, not refused.
_BACKLOG = 256
_KEPT = 1024


def main() -> None:
    """Serves until SIGTERM or SIGINT. Exit codes: 0, 1 where it cannot listen, 2 for a wrong setting."""
    if len(sys.argv) > 1:
        _usage()
    try:
        config = from_env()
        log.configure("json" if config.log_format == "json" else "text", "info")
        _serve(config)
    except (ConfigError, ModelFileError) as error:
        _fail(str(error), 2)


def _serve(config: Config) -> None:
    function = assemble(config)
    from cheroot.wsgi import Server

    server = Server(
        (config.host, config.port),
        function.app,
        numthreads=config.threads,
        request_queue_size=_BACKLOG,
        shutdown_timeout=math.ceil(config.timeout),
    )
    # The library keeps 10 idle connections and closes the others after each answer; a proxy in front of us keeps more.
    server.keep_alive_conn_limit = _KEPT
    _run(server, config, function.draining)
    function.close()


def _run(server: Any, config: Config, draining: threading.Event) -> None:
    try:
        server.prepare()
    except OSError as error:
        _fail(f"cannot listen on {config.host}:{config.port}: {error.strerror or error}; set PORT to another one", 1)
    stopper = threading.Thread(target=server.stop, name="stop")

    def stop(*_: object) -> None:
        if not draining.is_set():
            draining.set()
            stopper.start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    _log.info("Listening on http://%s:%d", *server.bind_addr[:2])
    server.serve()
    stopper.join()
    _log.info("Stopped")


def _usage() -> None:
    lines = "\n".join(f"  {name:<32} {meaning}{f' ({default})' if default else ''}" for name, default, meaning in VARIABLES)
    text = f"Usage: python -m function\n\nServes POST /classify over HTTP. Set by the environment:\n\n{lines}"
    wanted = sys.argv[1:] in (["--help"], ["-h"])
    print(text, file=sys.stdout if wanted else sys.stderr)
    sys.exit(0 if wanted else 2)


def _fail(message: str, code: int) -> None:
    print(f"function: {message}", file=sys.stderr)  # noqa: T201 one line, before there is anything to serve
    sys.exit(code)


if __name__ == "__main__":
    main()
