"""Fixtures of the function's tests."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.classifier import TEXTS
from tests.support.collector import Collector, collecting_spans
from tests.support.paths import TWEETS

#: Entries of a model file that the function needs.
ENTRIES = ("tokenizer.json", "labels.json", "signature.json")


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


@pytest.fixture(scope="module")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the entries of the model that ships, and too little of a program to run."""
    path = tmp_path_factory.mktemp("model") / "small.pt"
    with zipfile.ZipFile(TWEETS) as model, zipfile.ZipFile(path, "w") as small:
        small.writestr("small/constants.pkl", b"")
        for name in model.namelist():
            if name.rpartition("/")[2] in ENTRIES:
                small.writestr(f"small/extra/{name.rpartition('/')[2]}", model.read(name))
    return path
