"""The card of the model that ships says what was measured, and its file says the same."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.paths import ROOT, TWEETS
from training.seeds import class_table, seed_table
from vaccel_common.modelfile import read_extras

CARD = (ROOT / "models/README.md").read_text()


@pytest.fixture(scope="module")
def metrics() -> Any:
    """models/tweets.metrics.json, as ``python -m models.seeds`` wrote it."""
    return json.loads((ROOT / "models/tweets.metrics.json").read_text())


def test_the_tables_are_those_of_the_command(metrics: Any) -> None:
    """Of all seeds, and of each class of the one that ships."""
    assert seed_table(metrics["seeds"]) in CARD
    assert class_table(metrics) in CARD


def test_the_seed_that_ships_was_chosen_by_the_tune_part(metrics: Any) -> None:
    """Not by the validation part, of which the card states the figures."""
    assert metrics["tune"]["macro_f1"] == max(run["tune"]["macro_f1"] for run in metrics["seeds"])
    assert {key: value for key, value in metrics.items() if key != "seeds"} in metrics["seeds"]


def test_the_sentences_follow_the_figures(metrics: Any) -> None:
    """The card's first lines, and the limits in the model's file, which the page shows."""
    figures = metrics["validation"]
    prose = " ".join(CARD.split())
    assert f"accuracy {figures['accuracy']:.3f}, macro F1 {figures['macro_f1']:.3f}" in prose
    assert f"expected calibration error {figures['calibration_error']:.3f}" in prose
    limits = read_extras(TWEETS).about.limits
    recall, precision = (round(100 * figures[name]["hate-speech"]) for name in ("recall", "precision"))
    assert f"it finds {recall} % of it, and {precision} % of what it calls hate speech is" in limits


def test_the_variants_are_those_of_the_model_that_ships(metrics: Any) -> None:
    """They were compared after it was trained: on the same texts, with its figures."""
    variants = json.loads((ROOT / "models/tweets.variants.json").read_text())
    original = variants["files"]["tweets.pt"]
    assert variants["texts"] == metrics["validation"]["texts"]
    assert original["bytes"] == TWEETS.stat().st_size
    # The file has 16-bit weights, which may change a label of a text whose two best scores are close.
    assert original["accuracy"] == pytest.approx(metrics["validation"]["accuracy"], abs=0.001)
    for name, figures in variants["files"].items():
        assert f"| `{name}` | {figures['accuracy']:.3f} | {figures['macro_f1']:.3f} |" in CARD
