"""Exported classifiers, served over HTTP by function and agent, give the answers of transformers' pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import transformers

from tests.support.families import make
from tests.support.functions import function_of, post, wait_until_ready
from tests.support.servers import SpawnAgent
from tests.tools.test_export_families import check, export

#: Short, long, of unknown words, in several scripts; a request mixes them.
TEXTS = [
    "tea", "the cake was very good", "not bad not bad " * 20, "we was late again, the train is bad", "qwertz zxcvb", "🙂🎉 🙂",
    "你好世界 今天", "日本語 の 文", "한국어", "мы и поезд", "שלום אבג", "क ख ग", "THE CAKE WAS GOOD", "a", "two  spaces\ttab\nline", "the " * 80,
]  # fmt: skip
#: Family, form, labels and changes of config.json: one layer, where test_export_families has both.
SERVED: tuple[tuple[str, str, tuple[str, ...], dict[str, Any]], ...] = (
    ("bert", ".onnx", ("gut", "嫌い", "🙂"), {"num_hidden_layers": 1}),
    ("mpnet", ".pt", tuple(f"class {i}" for i in range(1000)), {}),
    ("xlnet", ".onnx", ("a", "b"), {"problem_type": "multi_label_classification"}),
    ("roberta", ".pt2", ("stars",), {"problem_type": "regression", "num_hidden_layers": 1}),
    ("distilbert", ".onnx", ("spam",), {"n_layers": 1}),
)


@pytest.mark.parametrize(("family", "suffix", "labels", "config"), SERVED, ids=[f"{row[0]}{row[1]}" for row in SERVED])
def test_a_served_classifier_gives_the_answers_of_the_pipeline(
    tmp_path: Path, spawn_agent: SpawnAgent, family: str, suffix: str, labels: tuple[str, ...], config: dict[str, Any]
) -> None:
    """To 1e-4 for 16 texts in one request, in order."""
    folder, store = make(tmp_path / "folder", family, labels, **config), tmp_path / "store"
    store.mkdir()
    file = store / f"mine{suffix}"
    done = export(folder, file)
    assert done.exit_code == 0, done.output
    check(file, family)
    agent = spawn_agent("--models", str(store))
    with function_of(tmp_path, agent.addresses["unix"], MODEL=str(file)) as function:
        wait_until_ready(function)
        answers = post(function, {"texts": TEXTS, "top_k": len(labels)}).json()["predictions"]
    pipeline = transformers.pipeline("text-classification", str(folder), top_k=None)
    right = pipeline(TEXTS, truncation=True, max_length=512 if family == "xlnet" else 64)
    for text, answer, rows in zip(TEXTS, answers, right, strict=True):
        expected = {row["label"]: row["score"] for row in rows}
        assert answer["scores"].keys() == expected.keys(), text
        for label, score in answer["scores"].items():
            assert score == pytest.approx(expected[label], abs=1e-4, rel=1e-4), text
