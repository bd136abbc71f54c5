"""A Flask application that says hello, on cheroot: the least that a Python function costs at a cold start."""

from __future__ import annotations

import os

from cheroot.wsgi import Server
from flask import Flask

app = Flask(__name__)


@app.route("/")
def hello() -> str:
    """Hello."""
    return "hello"


if __name__ == "__main__":
    Server(("127.0.0.1", int(os.environ["PORT"])), app).start()
