"""The load tests: their shapes, texts and judgement alone, and Locust itself against real and false servers."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest

from function.core.texts import Pair
from function.core.tokens import Encoder
from function.load import extras_of
from loadkit.stats import percentile_of_counts
from loadtests.answers import AnswerChecker, WrongAnswer, problem
from loadtests.criteria import PassCriteria, RequestCounts, evaluate, timed
from loadtests.shapes import SHAPES, LoadShape
from loadtests.texts import COUNT, fields, texts
from tests.support.functions import LABELS
from tests.support.paths import TWEETS
from tests.support.responses import answer

TICKS: list[tuple[LoadShape, list[tuple[float, int | None]]]] = [
    (LoadShape("steady", 8, 2, run_time=10), [(0, 8), (9.9, 8), (10, None), (99, None)]),
    (LoadShape("step", 10, 2, run_time=50, steps=5), [(0, 2), (9.9, 2), (10, 4), (25, 6), (49.9, 10), (50, None)]),
    (LoadShape("step", 3, 2, run_time=10, steps=5), [(0, 1), (2, 2), (4, 2), (6, 3), (9, 3), (10, None)]),
    (LoadShape("spike", 50, 2, run_time=100), [(0, 5), (39.9, 5), (40, 50), (59.9, 50), (60, 5), (100, None)]),
    (LoadShape("spike", 4, 2, run_time=100), [(0, 1), (50, 4), (99, 1)]),
    (LoadShape("bursts", 9, 2, run_time=50, burst=5, gap=15), [(0, 9), (4.9, 9), (5, 0), (19.9, 0), (20, 9), (26, 0), (45, 0), (50, None)]),
]  # fmt: skip


@pytest.mark.parametrize(("plan", "expected"), TICKS, ids=[f"{plan.shape} of {plan.users}" for plan, _ in TICKS])
def test_shapes(plan: LoadShape, expected: list[tuple[float, int | None]]) -> None:
    """A shape gives the number of users at each second, and None at its end."""
    ticks = [(second, plan.tick(second)) for second, _ in expected]
    assert [(second, tick and tick[0]) for second, tick in ticks] == expected


def test_what_is_sudden_comes_at_once() -> None:
    """All users of spikes and bursts start at once; the spawn rate holds for the other shapes."""
    rates = {shape: LoadShape(shape, 50, 2).tick(0) for shape in SHAPES}
    assert {shape: tick and tick[1] for shape, tick in rates.items()} == {"steady": 2, "step": 2, "spike": 50, "bursts": 50}


def test_gaps_are_longer_than_scaling_to_zero() -> None:
    """Knative's stable window of 60 s and its grace period of 30 s."""
    assert LoadShape("bursts", 1, 1).gap > 60 + 30


def test_the_texts_are_as_long_as_short_messages_are() -> None:
    """39 tokens on average, from a few to nearly what the model sees; each run has the same."""
    extras = extras_of(TWEETS)
    assert extras.tokenizer
    assert extras.signature
    lengths = sorted(item.total for item in Encoder(extras.tokenizer, extras.signature).encode(texts()))
    assert len(lengths) == COUNT
    assert 37 <= statistics.mean(lengths) <= 41
    assert 15 <= statistics.stdev(lengths) <= 27
    assert lengths[COUNT // 20] < 16
    assert 70 < lengths[-COUNT // 20] < lengths[-1] <= 140
    assert len(set(texts())) > 0.95 * COUNT


def test_texts_of_a_file(tmp_path: Path) -> None:
    """One a line, or a column of a .csv; a file without a text is said to be one."""
    (tmp_path / "a.txt").write_text("one\n\ntwo\n")
    (tmp_path / "a.csv").write_text('id,tweet\n1,"one, two"\n')
    (tmp_path / "empty.txt").write_text("\n \n")
    assert texts(str(tmp_path / "a.txt")) == ("one", "two")
    assert texts(str(tmp_path / "a.csv")) == ("one, two",)
    with pytest.raises(ValueError, match=r"empty\.txt: the file has no text"):
        texts(str(tmp_path / "empty.txt"))


def test_pairs_of_a_file(tmp_path: Path) -> None:
    """Two columns, or lines of JSON; what cannot be read, and an empty text, is told with its line."""
    (tmp_path / "a.csv").write_text("a,b\none,two\nalone,\n")
    (tmp_path / "a.tsv").write_text("tweet\tb\none\ttwo\nalone\t\n")
    (tmp_path / "a.jsonl").write_text('{"text": "one", "text_pair": "two"}\n"alone"\n')
    pairs = (Pair("one", "two"), "alone")
    assert texts(str(tmp_path / "a.csv"), "a", "b") == pairs
    assert texts(str(tmp_path / "a.tsv"), pair_column="b") == pairs
    assert texts(str(tmp_path / "a.jsonl")) == pairs
    assert [fields(text) for text in pairs] == [{"text": "one", "text_pair": "two"}, {"text": "alone"}]
    for name, content, says in (
        ("bad.csv", "tweet,b\none,two\nthree\n", "line 3: 1 fields, and the header names 2"),
        ("bad.jsonl", '"one"\n{"text": 7}\n', "line 2 of .*: a text is a string"),
        ("empty.csv", "tweet,b\none,two\n ,four\n", "line 3: a pair of which one text is empty"),
    ):
        (tmp_path / name).write_text(content)
        with pytest.raises(ValueError, match=says):
            texts(str(tmp_path / name), pair_column="b" if name.endswith("csv") else None)
    with pytest.raises(ValueError, match="--pair-column b needs a file of pairs"):
        texts(None, pair_column="b")
    with pytest.raises(ValueError, match="--column b needs a file with columns: --texts FILE"):
        texts(None, "b")


def test_a_single_label_has_a_sigmoid() -> None:
    """As a cross-encoder has it: its score is no share of 1."""
    AnswerChecker(["relevant"]).one(
        "tea", json.dumps({"label": "relevant", "score": 0.3, "scores": {"relevant": 0.3}, "tokens": 5})
    )


JUDGED: list[tuple[RequestCounts, PassCriteria, list[str]]] = [
    (RequestCounts(100, 0, 0, {10: 100}), PassCriteria(), []),
    (RequestCounts(100, 1, 0, {10: 100}), PassCriteria(0.01), []),
    (RequestCounts(100, 2, 0, {10: 100}), PassCriteria(0.01), ["fail ratio 0.0200 (2 of 100), limit --max-fail-ratio 0.01"]),
    (RequestCounts(100, 0, 0, {10: 95, 900: 5}), PassCriteria(p95_ms=10, p99_ms=900), []),
    (RequestCounts(100, 0, 0, {10: 94, 900: 6}), PassCriteria(p95_ms=100, p99_ms=500),
     ["p95 900 ms, limit --max-p95-ms 100", "p99 900 ms, limit --max-p99-ms 500"]),
    (RequestCounts(0, 0, 0, {}), PassCriteria(1), ["no request was made, so nothing has passed"]),
    (RequestCounts(9, 0, 2, {1: 9}), PassCriteria(1), ["2 exceptions in the load test itself, limit 0"]),
]  # fmt: skip


@pytest.mark.parametrize(("counts", "limits", "says"), JUDGED)
def test_limits(counts: RequestCounts, limits: PassCriteria, says: list[str]) -> None:
    """A sentence for each that is passed, with the figure and the option."""
    assert [result.text for result in evaluate(counts, limits) if not result.passed] == says


def test_percentiles_are_of_what_the_server_was_asked() -> None:
    """A client that is slow by intention says nothing about the server."""
    times = timed(
        [("one text", {10: 1, 20: 1}), ("16 texts", {20: 2}), ("misbehaving: slow", {9000: 5}), ("stream of lines", {2000: 1})]
    )
    assert times == {10: 1, 20: 3}
    assert [percentile_of_counts({10: 1, 20: 3}, share) for share in (0.25, 0.26, 0.95, 1)] == [10, 20, 20, 20]
    assert percentile_of_counts({}, 0.95) == 0


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"label": "nonsense"}, "the label is not one"),
    ({"label": "hate-speech"}, "not the one with the best score"),
    ({"scores": {"a": 1.0}}, "labels are not the model's"),
    ({"scores": None}, "has no scores"),
    ({"scores": dict(reversed(answer()["scores"].items()))}, "not in the order of the model's labels"),
    (answer((0.1, 0.2, 0.6)), "do not sum to 1"),
    (answer((-0.1, 0.2, 0.9)), "not between 0 and 1"),
    ({"score": 0.5}, "not the best one"),
    ({"tokens": 6}, "number of tokens is not the one"),
    ({"tokens": None}, "number of tokens is not the one"),
    (answer((0.2, 0.1, 0.7)), "scores are not those"),
]


@pytest.mark.parametrize(("change", "says"), WRONG, ids=[says for _, says in WRONG])
def test_a_wrong_answer_is_found(change: dict[str, Any], says: str) -> None:
    """A wrong answer is found after a right one to the same text."""
    known = AnswerChecker(LABELS)
    known.one("tea", json.dumps(answer()))
    known.one("tea", json.dumps(answer()))
    with pytest.raises(WrongAnswer, match=says):
        known.one("tea", json.dumps({**answer(), **change}))


def test_many_answers_are_as_many_and_in_order() -> None:
    """Two texts that change places are found by what they were answered before."""
    known = AnswerChecker(LABELS)
    right = [answer(), answer((0.7, 0.2, 0.1), tokens=9)]
    known.many(["tea", "a longer text"], json.dumps({"predictions": right}))
    for wrong, says in ((right[:1], "number of predictions"), (right[::-1], "another text's"), ({}, "number of predictions")):
        with pytest.raises(WrongAnswer, match=says):
            known.many(["tea", "a longer text"], json.dumps({"predictions": wrong}))


def test_lines_and_logits() -> None:
    """A line by its number, and the model's own values by what they were before."""
    known = AnswerChecker(LABELS)
    known.line(2, "tea", json.dumps({"line": 2, "id": 2, **answer()}).encode())
    with pytest.raises(WrongAnswer, match="out of order"):
        known.line(3, "tea", json.dumps({"line": 2, "id": 2, **answer()}).encode())
    with pytest.raises(WrongAnswer, match="refused: busy"):
        known.line(3, "tea", json.dumps({"line": 3, "error": {"detail": "busy"}}).encode())
    known.logits("tea", [0.5, -1, 3])
    for values, says in (
        ([0.5, -1], "number of logits"),
        ([0.5, -1, float("nan")], "not a finite number"),
        ([3, -1, 0.5], "another text's"),
    ):
        with pytest.raises(WrongAnswer, match=says):
            known.logits("tea", values)


def test_a_refusal_in_a_few_words() -> None:
    """A refusal is its status and detail, without what changes each time."""
    assert problem(429, b'{"detail": "the agent is busy"}') == "429: the agent is busy"
    assert problem(502, b"<html>") == "502, without a problem's detail"
