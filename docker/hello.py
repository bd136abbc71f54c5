"""A minimal Flask function on the same server as ours: the baseline for its cold start."""

from __future__ import annotations

import os
import signal

import uvicorn
from flask import Flask
from uvicorn.middleware.wsgi import WSGIMiddleware

app = Flask(__name__)


@app.route("/", methods=["GET", "POST"])
@app.route("/<path:path>", methods=["GET", "POST"])
def hello(path: str = "") -> str:
    """Answers every request with a greeting that names its path."""
    return f"Hello {path or 'World'}!\n"


class HelloServer(uvicorn.Server):
    """Exits at once on a signal: how it stops is not measured."""

    def handle_exit(self, *_: object) -> None:
        """Exits without a drain."""
        os._exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    port = int(os.environ.get("PORT", "8080"))
    config = uvicorn.Config(WSGIMiddleware(app), "0.0.0.0", port, log_config=None, access_log=False, lifespan="off")
    HelloServer(config).run()
