"""Requests that no route answers are told which path or method was meant."""

from __future__ import annotations

import pytest

from tests.support.inprocess import client

INFER, MODEL, READY = "/v2/models/tweets/infer", "/v2/models/tweets", "/v2/models/tweets/ready"
LISTED = "GET /openapi.json lists the paths"


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("/clasify", "there is no path '/clasify'; did you mean /classify?"),
        ("/Classify", "there is no path '/Classify'; did you mean /classify?"),
        ("/classify/", "there is no path '/classify/'; did you mean /classify?"),
        ("/health", "there is no path '/health'; did you mean /health/liveness or /health/readiness?"),
        ("/openapi.yaml", "there is no path '/openapi.yaml'; did you mean /openapi.json?"),
        ("/v2/models", "there is no path '/v2/models'; did you mean /v2/models/tweets, /v2/models/tweets/infer or /v2/models/tweets/ready?"),
        ("/v2/models/tweets/predict", f"there is no path '/v2/models/tweets/predict'; did you mean {READY}, {MODEL} or {INFER}?"),
        ("/v2/models/tweets/infr", f"there is no path '/v2/models/tweets/infr'; did you mean {INFER}, {MODEL} or {READY}?"),
        ("/nothing", f"there is no path '/nothing'; {LISTED}"),
        ("/page/other.js", f"there is no path '/page/other.js'; {LISTED}"),
        ("/" + "x" * 5000, f"there is no path '/{'x' * 79}'; {LISTED}"),
        ("/%00", f"there is no path '/\\x00'; {LISTED}"),
        ("/%ff", f"there is no path '/\ufffd'; {LISTED}"),
    ],
)  # fmt: skip
def test_a_path_that_is_not_there(path: str, detail: str) -> None:
    """The known paths that are near it, else where they are listed."""
    answer = client().get(path)
    assert answer.status_code == 404
    assert (answer.json.get("detail") or answer.json["error"]) == detail


@pytest.mark.parametrize(
    ("method", "path", "detail"),
    [
        ("GET", "/classify", "the path takes POST, not GET"),
        ("HEAD", "/classify", None),
        ("PUT", "/", "the path takes GET or POST, not PUT"),
        ("DELETE", "/v2/models/tweets/infer", "the path takes POST, not DELETE"),
        ("POST", "/openapi.json", "the path takes GET, not POST"),
    ],
)
def test_a_method_that_a_path_does_not_take(method: str, path: str, detail: str | None) -> None:
    """Those that it takes, as in the header Allow."""
    answer = client().open(path, method=method)
    assert (answer.status_code, bool(answer.headers["Allow"])) == (405, True)
    assert detail is None or (answer.json.get("detail") or answer.json["error"]) == detail
