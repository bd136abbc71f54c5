"""Fixtures of the function's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.collector import Collector, collecting_spans


@pytest.fixture
def collector() -> Iterator[Collector]:
    """An OpenTelemetry collector that has received nothing yet."""
    with collecting_spans() as collector:
        yield collector
