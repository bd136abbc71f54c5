"""The function's HTTP server over an application that does nothing: ``python -m benchmarks.bare``, PORT says where."""

from __future__ import annotations

import os
from typing import Any

from function.server import Server

_ANSWER = b'{"label":"neither"}\n'


def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Reads the body and gives the least answer."""
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(_ANSWER)))])
    return [_ANSWER]


if __name__ == "__main__":
    server = Server(
        ("127.0.0.1", int(os.environ["PORT"])), app, threads=128, max_body=1 << 20, read_timeout=10, keep_alive=75, grace=1
    )
    server.prepare()
    server.serve()
