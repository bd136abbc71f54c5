"""Fixtures of the function's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.classifier import TEXTS
from tests.support.collector import Collector, collecting_spans


@pytest.fixture
def collector() -> Iterator[Collector]:
    """An OpenTelemetry collector that has received nothing yet."""
    with collecting_spans() as collector:
        yield collector


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """A file of short texts, one a line, for the command-line classifier."""
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(TEXTS) + "\n")
    return path
