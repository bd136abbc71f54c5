"""Exported classifiers, served over HTTP by function and agent, give the answers of transformers' pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.families import make
from tests.support.served import check_served
from tests.support.servers import SpawnAgent
from tests.tools.test_export_families import check, export

#: Family, form, labels and changes of config.json: one layer, where test_export_families has both.
SERVED: tuple[tuple[str, str, tuple[str, ...], dict[str, Any]], ...] = (
    ("bert", ".onnx", ("gut", "嫌い", "🙂"), {"num_hidden_layers": 1}),
    ("mpnet", ".pt", tuple(f"class {i}" for i in range(1000)), {}),
    ("xlnet", ".onnx", ("a", "b"), {"problem_type": "multi_label_classification", "n_layer": 1}),
    ("roberta", ".pt2", ("stars",), {"problem_type": "regression", "num_hidden_layers": 1}),
    ("distilbert", ".onnx", ("spam",), {"n_layers": 1}),
)


@pytest.mark.parametrize(("family", "suffix", "labels", "config"), SERVED, ids=[f"{row[0]}{row[1]}" for row in SERVED])
def test_a_served_classifier_gives_the_answers_of_the_pipeline(
    tmp_path: Path, spawn_agent: SpawnAgent, family: str, suffix: str, labels: tuple[str, ...], config: dict[str, Any]
) -> None:
    """To 1e-4 for texts and pairs in one request, in order."""
    folder, store = make(tmp_path / "folder", family, labels, **config), tmp_path / "store"
    store.mkdir()
    file = store / f"mine{suffix}"
    done = export(folder, file)
    assert done.exit_code == 0, done.output
    check(file, family)
    check_served(spawn_agent, file, folder, tmp_path)
