"""The OpenAPI document is valid, and says of the routes neither more nor less than there is."""

from __future__ import annotations

import re
from typing import Any

import pytest
import requests
from openapi_spec_validator import validate

from function.core.classifier import Classifier
from function.core.options import Options
from function.core.request import RequestLimits
from function.core.service import ClassifyService, CountedSemaphore
from function.load import extras_of
from function.telemetry.access import Access
from function.web.app import create_app
from tests.support.paths import TWEETS
from tests.support.servers import ServerProcess
from vaccel_common.options import declared

#: What the fixture ``function`` sets for the tests of this module.
FUNCTION_ENV = {"MAX_TEXTS": "7", "MAX_TEXT_CHARS": "90"}


@pytest.fixture(scope="module")
def document(function: ServerProcess) -> Any:
    """What /openapi.json gives."""
    return requests.get(function.addresses["http"] + "/openapi.json", timeout=10).json()


def test_it_is_valid(document: Any) -> None:
    """The document is valid by OpenAPI 3.1's own schema, and every reference resolves."""
    assert document["openapi"] == "3.1.0"
    validate(document)


def test_it_names_every_route_and_no_other(document: Any) -> None:
    """Paths and methods are those of the application."""

    class Nobody:
        def run_each(self, *_: Any, **__: Any) -> Any:
            raise NotImplementedError

    service = ClassifyService(
        Classifier.of_file(extras_of(TWEETS), Nobody()), {"name": "tweets", "sha256": None}, RequestLimits(1, 1, 1), 1.0,
        CountedSemaphore(1), CountedSemaphore(1),
        lambda: None, list, {},
    )  # fmt: skip
    rules = create_app(service, Access(service)).url_map.iter_rules()
    routes = {
        (re.sub(r"<(\w+)>", r"{\1}", rule.rule), method)
        for rule in rules
        for method in set(rule.methods or ()) - {"HEAD", "OPTIONS"}
    }
    said = {(path, method.upper()) for path, item in document["paths"].items() for method in item if method != "parameters"}
    assert said == routes


def test_it_has_the_limits_and_options_of_the_service(document: Any) -> None:
    """The document states the limits and options that this service was configured with."""
    text = document["components"]["schemas"]["Text"]
    single, many, _ = document["components"]["schemas"]["Asked"]["anyOf"]
    assert text["maxLength"] == 90
    assert many["properties"]["texts"]["maxItems"] == 7
    assert {option.name for option in declared(Options)} == set(single["properties"]) - {"text", "texts", "text_pair"}
