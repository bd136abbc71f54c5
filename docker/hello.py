"""The least that a function in Flask can be, on the server that ours uses: the measure for its cold start."""

from __future__ import annotations

import os
import signal

from cheroot.wsgi import Server
from flask import Flask

app = Flask(__name__)


@app.route("/", methods=["GET", "POST"])
@app.route("/<path:path>", methods=["GET", "POST"])
def hello(path: str = "") -> str:
    """Answers everything."""
    return f"Hello {path or 'World'}!\n"


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    Server(("0.0.0.0", int(os.environ.get("PORT", "8080"))), app).start()
