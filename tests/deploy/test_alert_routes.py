"""The routes that alerts and dashboard count are those that classify, as the application has them."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from function.telemetry.access import Access
from function.web.app import create_app
from tests.support import inprocess
from tests.support.paths import ROOT

MONITORING = ROOT / "knative/monitoring"
RULES = [rule["expr"] for group in yaml.safe_load((MONITORING / "rules.yaml").read_text())["groups"] for rule in group["rules"]]
BOARD = json.loads((MONITORING / "dashboard.json").read_text())
PANELS = [target["expr"] for panel in BOARD["panels"] for target in panel.get("targets", [])]
QUERIES = [query for query in RULES + PANELS if re.search(r"function_request(s_total|_duration)", query)]


def routes(method: str) -> set[str]:
    """The patterns of the application's routes for a method, as its metrics have them."""
    service = inprocess.service()
    rules = create_app(service, Access(service)).url_map.iter_rules()
    return {rule.rule for rule in rules if method in (rule.methods or ())}


@pytest.mark.parametrize("query", QUERIES)
def test_only_routes_that_classify_are_counted(query: str) -> None:
    """Every query of requests names them: a probe, a page's file or a scrape is neither an error nor quick.

    Prometheus anchors a pattern at both ends. The page shares the path of `POST /`, and is counted as `GET /`.
    """
    selectors = re.findall(r"function_request(?:s_total|_duration_seconds_bucket)\{route=~\"([^\"]+)\"", query)
    assert len(selectors) == len(re.findall(r"function_request(?:s_total|_duration)", query))
    for selector in selectors:
        assert {route for route in routes("POST") if re.fullmatch(selector, route)} == routes("POST")
        assert {route for route in routes("GET") - {"/"} | {"GET /"} if re.fullmatch(selector, route)} == set()


def test_there_are_such_queries() -> None:
    """Two alerts, and the panels of requests and of their times."""
    assert len(QUERIES) >= 6
