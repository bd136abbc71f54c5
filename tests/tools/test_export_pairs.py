"""Classifiers of pairs, and of texts whose end counts: exported, served over HTTP, and equal to transformers' pipeline to 1e-4."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.families import make, tokenizer_for
from tests.support.functions import function_of, wait_until_ready
from tests.support.served import PAIRS, right
from tests.support.servers import SpawnAgent
from tests.tools.test_export_families import export, verdict
from vaccel_common.modelfile import Pairs, read_extras

NLI = ("entailment", "neutral", "contradiction")


@dataclass(frozen=True)
class Exported:
    """A classifier of the table. ``tokenizer``: options of its tokenizer; ``config``: of its config.json."""

    family: str
    labels: tuple[str, ...] = NLI
    options: tuple[str, ...] = ()
    tokenizer: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    pairs: Pairs = "allowed"
    segments: bool = False


ROWS = {
    "BERT cross-encoder, one label": Exported("bert", ("relevant",), ("--pairs", "required"), pairs="required", segments=True),
    "BERT, NLI": Exported("bert", segments=True),
    "RoBERTa, NLI": Exported("roberta", options=("--pairs", "required"), pairs="required"),
    "DistilBERT, NLI": Exported("distilbert"),
    "DeBERTa, NLI": Exported("deberta-v2"),
    "XLM-R, regression": Exported("xlm-roberta", ("similarity",), config={"problem_type": "regression"}),
    "BERT whose tokenizer keeps the end": Exported("bert", tokenizer={"truncation_side": "left"}, segments=True),
    "RoBERTa whose tokenizer keeps the end": Exported("roberta", tokenizer={"truncation_side": "left"}),
    "BERT of single texts": Exported("bert", options=("--pairs", "refused"), pairs="refused"),
    "BERT of single texts whose end counts": Exported(
        "bert", options=("--pairs", "refused"), tokenizer={"truncation_side": "left"}, pairs="refused"
    ),
}


def exported(row: Exported, tmp_path: Path) -> tuple[Path, Path]:
    """The classifier's folder, and its file in a store's folder."""
    folder = make(tmp_path / "folder", row.family, row.labels, **row.config)
    tokenizer_for(row.family, **row.tokenizer).save_pretrained(folder)
    store = tmp_path / "store"
    store.mkdir()
    done = export(folder, store / "mine.pt", *row.options)
    assert done.exit_code == 0, done.output
    return folder, store / "mine.pt"


@pytest.mark.parametrize("name", ROWS)
def test_a_classifier_of_pairs_is_served_as_its_pipeline_answers(name: str, tmp_path: Path, spawn_agent: SpawnAgent) -> None:
    """Every text of mixed batches, over HTTP, to 1e-4; single texts beside pairs where both are taken."""
    row = ROWS[name]
    folder, file = exported(row, tmp_path)
    signature = read_extras(file).signature
    assert signature
    assert signature.pairs == row.pairs
    assert ("token_type_ids" in [spec.name for spec in signature.inputs]) == row.segments
    assert bool(verdict(file)["pairs"]) == (row.pairs != "refused")
    singles = [pair["text"] for pair in PAIRS]
    texts = {"allowed": [*PAIRS, *singles], "required": PAIRS, "refused": singles}[row.pairs]
    agent = spawn_agent("--models", str(file.parent), "--preload", "mine")
    with function_of(tmp_path, agent.addresses["unix"], MODEL=str(file)) as function:
        wait_until_ready(function)
        ask = functools.partial(requests.post, function.addresses["http"] + "/classify", timeout=30)
        answer = ask(json={"texts": texts}).json()
        lines = ask(
            data="".join(json.dumps(text if isinstance(text, dict) else {"text": text}) + "\n" for text in texts),
            headers={"Content-Type": "application/x-ndjson"},
        ).text.splitlines()
        ends = {end: ask(json={"texts": texts, "truncation": end}).json()["predictions"] for end in ("head", "tail")}
    expected = right(folder, texts)
    for got in (answer["predictions"], [json.loads(line) for line in lines]):
        assert [each["scores"] for each in got] == [pytest.approx(scores, abs=1e-4) for scores in expected]
    for end, side in (("head", "right"), ("tail", "left")):
        scores = [each["scores"] for each in ends[end]]
        assert scores == [pytest.approx(one, abs=1e-4) for one in right(folder, texts, truncation_side=side)]
    truncated = [each.get("truncated", False) for each in answer["predictions"][:4]]
    assert truncated == ([False, False, True, True] if row.pairs == "refused" else [False, True, True, True])


def test_a_family_that_fails_with_a_pair_takes_single_texts(tmp_path: Path) -> None:
    """A network without embeddings for a second segment: pairs are refused with the reason, and asked for they refuse the export."""
    row = Exported("bert", config={"type_vocab_size": 1})
    _, file = exported(row, tmp_path)
    signature = read_extras(file).signature
    assert signature
    assert signature.pairs == "refused"
    done = export(tmp_path / "folder", tmp_path / "other.pt", "--pairs", "allowed")
    assert done.exit_code == 1
    assert "bert fails with a pair: index out of range" in done.output
    assert not (tmp_path / "other.pt").exists()
