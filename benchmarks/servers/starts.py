"""Starts one server: ``python -m benchmarks.servers.starts NAME PORT``.

Each imports its own packages, which are part of its cost.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from function.server.application import Application

#: The threads of a server with a fixed number of them: one for each client.
_THREADS = 32
_HOST = "127.0.0.1"


def _cheroot(port: int) -> None:
    from cheroot.wsgi import Server

    from benchmarks.servers.stub import app

    server = Server((_HOST, port), app, numthreads=_THREADS)
    # With more connections it closes idle ones, on which the next request may be arriving.
    server.keep_alive_conn_limit = 4 * _THREADS
    server.start()


def _ours(port: int) -> None:
    from benchmarks.bare import serve
    from benchmarks.servers.stub import app

    serve(app, port)


def _h11(port: int) -> None:
    import uvicorn

    uvicorn.run(
        _application(), host=_HOST, port=port, http="h11", ws="none", loop="uvloop", lifespan="off", log_config=None, access_log=False
    )  # fmt: skip


def _hypercorn(port: int) -> None:
    import asyncio

    from hypercorn.asyncio import serve  # type: ignore[import-not-found,unused-ignore] # in .venv-servers
    from hypercorn.config import Config  # type: ignore[import-not-found,unused-ignore]

    config = Config()
    config.bind, config.loglevel = [f"{_HOST}:{port}"], "WARNING"
    application: Any = _application()
    asyncio.run(serve(application, config))


def _granian_wsgi(port: int) -> None:
    from granian import Granian  # type: ignore[import-not-found,unused-ignore] # in .venv-servers
    from granian.constants import Interfaces  # type: ignore[import-not-found,unused-ignore]

    served = Granian(
        "benchmarks.servers.stub:app", address=_HOST, port=port, interface=Interfaces.WSGI, blocking_threads=_THREADS, log_enabled=False
    )  # fmt: skip
    served.serve()


def _granian_asgi(port: int) -> None:
    import uvloop
    from granian.constants import Interfaces  # type: ignore[import-not-found,unused-ignore] # in .venv-servers
    from granian.server.embed import Server  # type: ignore[import-not-found,unused-ignore]

    async def serve() -> None:
        await Server(_application(), address=_HOST, port=port, interface=Interfaces.ASGI, log_enabled=False).serve()

    uvloop.run(serve())


def _application() -> Application:
    """The function's ASGI application with the stub."""
    from benchmarks.bare import application
    from benchmarks.servers.stub import app

    return application(app)


@dataclass(frozen=True)
class ComparedServer:
    """A server; ``about``: its name in tables; ``module``: what it imports; ``needs``: the package
    that has it.
    """

    about: str
    module: str
    needs: str
    start: Callable[[int], None]


SERVERS = {
    "ours": ComparedServer("uvicorn, httptools, uvloop: ours", "httptools", "httptools", _ours),
    "h11": ComparedServer("uvicorn, h11, uvloop; our application", "h11", "h11", _h11),
    "hypercorn": ComparedServer("hypercorn; our application", "hypercorn", "hypercorn", _hypercorn),
    "granian-asgi": ComparedServer("granian, embedded, uvloop; our application", "granian", "granian", _granian_asgi),
    "granian-wsgi": ComparedServer("granian, WSGI, threads", "granian", "granian", _granian_wsgi),
    "cheroot": ComparedServer("cheroot, WSGI, threads", "cheroot", "cheroot", _cheroot),
}

if __name__ == "__main__":
    SERVERS[sys.argv[1]].start(int(sys.argv[2]))
