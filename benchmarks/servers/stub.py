"""The smallest function in Flask: it reads the body and responds as if it had classified it."""

from __future__ import annotations

from flask import Flask, Response, request

app = Flask(__name__)
_ANSWER = b'{"label":"neither"}\n'


@app.route("/classify", methods=["POST"])
def classify() -> Response:
    """Reads the body and returns the smallest response."""
    request.get_data()
    return Response(_ANSWER, mimetype="application/json")
