"""The production server: ``python -m function``."""

from __future__ import annotations

import gc
import logging
import signal
import sys
import threading
from typing import TYPE_CHECKING

from function.assembly import Function, assemble
from function.config import VARIABLES, Config, ConfigError, from_env
from function.phases import Phases
from vaccel_rpc import log, process
from vaccel_rpc.modelfile import ModelFileError

if TYPE_CHECKING:
    from function.server import Server

_log = logging.getLogger("function")


def main() -> None:
    """Serves until SIGTERM or SIGINT. Exit codes: 0, 1 where it cannot listen, 2 for a wrong setting."""
    # Modules and routes stay: to look through them for what nobody holds any more would cost a start, and every collection after.
    gc.disable()
    process.end_on_sigterm()
    if len(sys.argv) > 1:
        _usage()
    try:
        config = from_env()
        log.configure(config.log_format, config.log_level)
        _serve(config)
    except (ConfigError, ModelFileError) as error:
        _fail(str(error), 2)


def _serve(config: Config) -> None:
    phases = Phases()
    function = assemble(config, phases)
    from function.server import Server

    server = Server(
        (config.host, config.port),
        function.app,
        threads=config.threads,
        max_body=config.max_body,
        read_timeout=config.read_timeout,
        keep_alive=config.keep_alive,
        grace=config.timeout,
    )
    _run(server, config, function, phases)
    function.close()


def _run(server: Server, config: Config, function: Function, phases: Phases) -> None:
    try:
        server.prepare()
    except OSError as error:
        _fail(f"cannot listen on {config.host}:{config.port}: {error.strerror or error}; set PORT to another one", 1)

    def drain() -> None:
        server.drain()
        server.stop()

    stopper = threading.Thread(target=drain, name="stop")

    def stop(*_: object) -> None:
        if not function.draining.is_set():
            function.drain()
            stopper.start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    gc.freeze()
    gc.enable()
    phases.end("listen")
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
