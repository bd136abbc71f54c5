"""How ``python -m knative verify`` judges answers and agents, and where it connects; no cluster."""

from __future__ import annotations

from typing import Any

import pytest

from knative.look.agents import AgentFacts, AgentPod, LoadedModel
from knative.verify.answers import difference, fault_of_many, fault_of_one
from knative.verify.ingress import HttpTarget, address_of
from knative.verify.warm import changes, unknown
from tests.support.fakeingress import MODEL, SCORES

Json = dict[str, Any]
LABELS = tuple(SCORES)


def test_where_to_connect() -> None:
    """--resolve for its host and port, else --ingress, else the URL's own."""
    url, resolve = "https://f.example.com", [("f.example.com", 443, "192.0.2.1"), ("g.example.com", 80, "192.0.2.2")]
    assert address_of(url, None, resolve) == ("192.0.2.1", 443)
    assert address_of("http://g.example.com/x", ("192.0.2.9", None), resolve) == ("192.0.2.2", 80)
    assert address_of("http://h.example.com", ("192.0.2.9", None), resolve) == ("192.0.2.9", 80)
    assert address_of("http://h.example.com", ("192.0.2.9", 8080), []) == ("192.0.2.9", 8080)
    assert address_of(url, None, []) is None
    assert (HttpTarget(url).host, HttpTarget(url).port) == ("f.example.com", 443)


GOOD = {"label": "neither", "score": 0.95, "scores": SCORES, "model": MODEL}


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({}, None),
        ({"scores": {**SCORES, "neither": "much"}}, "not between 0 and 1"),
        ({"scores": {**SCORES, "neither": 1.95}}, "not between 0 and 1"),
        ({"scores": {**SCORES, "neither": True}}, "not between 0 and 1"),
        ({"scores": {}}, "the scores' labels are not the model's: none"),
        ({"label": "hate-speech", "score": 0.01}, "not the one with the best score"),
        ({"score": 0.5}, "the score is not the best one"),
        ({"model": None}, "does not name its model"),
    ],
)
def test_answers_are_judged(changed: Json, says: str | None) -> None:
    """Labels, probabilities, the best label and the model are checked."""
    wrong = fault_of_one({**GOOD, **changed}, LABELS)
    assert wrong is None if says is None else says in str(wrong)
    assert fault_of_one([], LABELS) == "the prediction is not a JSON object"
    assert fault_of_one({**GOOD, "scores": {**SCORES, "neither": float("nan")}}, LABELS) == "a score is not between 0 and 1"


def test_several_answers_are_judged() -> None:
    """The text that is wrong is numbered."""
    prediction = {key: GOOD[key] for key in ("label", "score", "scores")}
    assert fault_of_many({"predictions": [prediction, prediction], "model": MODEL}, 2, LABELS) is None
    assert (
        fault_of_many({"predictions": [prediction, {**prediction, "score": 0}], "model": MODEL}, 2, LABELS)
        == "text 2: the score is not the best one: 0, not 0.95"
    )
    assert fault_of_many(None, 2, LABELS) == "the answer has no list of predictions"
    assert difference(GOOD, {**GOOD, "label": "hate-speech"}) == "the label was neither, then hate-speech"
    assert difference(GOOD, GOOD) is None


def agent(**changes: Any) -> AgentPod:
    facts = AgentFacts(
        changes.pop("models", (LoadedModel("tweets", "sha256:ab", 1),)), changes.pop("started", 5.0), source="metrics"
    )
    return AgentPod(
        **{
            "pod": "a",
            "uid": "u",
            "node": "n",
            "container": "c",
            "image": "i",
            "ready": True,
            "restarts": 0,
            "created": None,
            "facts": facts,
            **changes,
        }
    )


@pytest.mark.parametrize(
    ("after", "says"),
    [
        ([agent()], []),
        ([agent(), agent(uid="new")], []),
        ([], ["a is gone"]),
        ([agent(container="d", restarts=1)], ["a was restarted (0 restarts before, 1 after)"]),
        ([agent(started=9.0)], ["a has another process"]),
        ([agent(ready=False)], ["a is not ready"]),
        ([agent(models=())], ["a has no model loaded", "a has unloaded tweets"]),
        (
            [agent(models=(LoadedModel("tweets", "sha256:ab", 1), LoadedModel("other", "sha256:cd", 1)))],
            ["a has loaded other since"],
        ),
        ([agent(models=(LoadedModel("tweets", "sha256:ab", 3),))], ["a had loaded tweets 1 time, now 3 times"]),
        ([agent(models=None)], []),
    ],
)
def test_agents_are_compared(after: list[AgentPod], says: list[str]) -> None:
    """Pod, container, process, models; what could not be read is unknown, and no change."""
    assert changes([agent()], after) == says
    assert unknown([agent()], after) == ([] if after and after[0].facts.models is not None else ["a"])
