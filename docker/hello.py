"""The least that a function in Flask can be, on the server that ours uses: the measure for its cold start."""

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
    """Answers everything."""
    return f"Hello {path or 'World'}!\n"


class Server(uvicorn.Server):
    """Ends at once: nobody measures how."""

    def handle_exit(self, *_: object) -> None:
        """SIGTERM."""
        os._exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    port = int(os.environ.get("PORT", "8080"))
    Server(uvicorn.Config(WSGIMiddleware(app), "0.0.0.0", port, log_config=None, access_log=False, lifespan="off")).run()
