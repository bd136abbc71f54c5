"""The option errors where the body does not say it: in the query string, and in lines, which have it anyway."""

from __future__ import annotations

import json

import pytest

from tests.support.inprocess import client

EVENT = {"specversion": "1.0", "id": "1", "source": "/", "type": "t", "data": {"texts": ["tea", ""]}}


@pytest.mark.parametrize(("query", "status"), [("errors=item", 200), ("errors=request", 422), ("", 422)])
@pytest.mark.parametrize(
    ("path", "kind", "body"),
    [
        ("/classify", "application/json", '{"texts": ["tea", ""]}'),
        ("/classify", "application/x-www-form-urlencoded", "texts=tea&texts="),
        ("/", "application/cloudevents+json", json.dumps(EVENT)),
    ],
)
def test_errors_in_the_query_string_are_those_of_a_list(query: str, status: int, path: str, kind: str, body: str) -> None:
    """With item the other texts are answered, as where the body has it; a value in the body takes precedence."""
    answer = client().post(f"{path}?{query}", data=body, content_type=kind)
    assert answer.status_code == (400 if path == "/" and status == 422 else status)
    own = client().post("/classify?errors=item", json={"texts": ["tea", ""], "errors": "request"})
    assert own.status_code == 422


def test_a_line_may_ask_for_errors_as_it_gets_them() -> None:
    """Each line has its own error whatever it says, but a value that means nothing is named."""
    lines = [b'{"text": "tea", "errors": "%s"}' % value for value in (b"item", b"request", b"bogus")]
    answer = client().post("/classify?errors=request", data=b"\n".join(lines), content_type="application/x-ndjson")
    rows = [json.loads(line) for line in answer.data.split(b"\n")[:-1]]
    assert ["label" in row for row in rows] == [True, True, False]
    assert rows[2]["error"]["detail"] == '"errors" must be one of request, item'
