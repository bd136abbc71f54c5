"""What is counted as what: the page and what it asks are neither requests of the service nor, for alerts, quick ones."""

from __future__ import annotations

import logging
import re

import pytest
from werkzeug.test import Client

from function.telemetry.access import Access
from function.web.app import create_app
from tests.support import inprocess


def test_the_page_is_counted_apart(caplog: pytest.LogCaptureFixture) -> None:
    """`GET /` has a route of its own in metrics, as the page's state has, of which the log has no line."""
    caplog.set_level(logging.INFO)
    service = inprocess.service()
    access = Access(service)
    client = Client(create_app(service, access))
    client.get("/", headers={"Accept": "text/html"}).close()
    client.head("/").close()
    client.post("/", json={"text": "tea"}).close()
    state = client.get("/page/state")
    assert state.get_json()["agents"][0]["state"] == "ready"
    state.close()
    counted = re.findall(
        r'^function_requests_total\{code="200",route="([^"]+)"\} (\S+)', access.metrics.exposition().decode(), re.MULTILINE
    )
    assert dict(counted) == {"GET /": "2.0", "/": "1.0", "/page/state": "1.0"}
    assert [record.fields["path"] for record in caplog.records if record.name == "function.access"] == ["/", "/", "/"]  # type: ignore[attr-defined]
