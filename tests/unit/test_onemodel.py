"""The runs of one request are all by one model, whatever agents make of its name meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from vaccel_rpc.client import RunResult
from vaccel_rpc.errors import FailedPrecondition, InvalidArgument, Unavailable
from vaccel_rpc.onemodel import Outcome, of_one_model


def ran(*models: str | None) -> list[Outcome]:
    return [RunResult([], model=model) for model in models]


class Again:
    """Runs again by models of which ``missing`` ones are on no agent."""

    def __init__(self, *missing: str) -> None:
        self._missing = missing
        self.calls: list[tuple[list[int], str]] = []

    def __call__(self, positions: list[int], model: str) -> Sequence[Outcome]:
        self.calls.append((positions, model))
        if model in self._missing:
            raise FailedPrecondition(f"no {model}")
        return ran(*[model] * len(positions))


def models(outcomes: Sequence[Outcome]) -> list[str | None]:
    return [outcome.model for outcome in outcomes if isinstance(outcome, RunResult)]


@pytest.mark.parametrize("outcomes", [[], ran(None, None), ran("a", "a"), [*ran("a"), InvalidArgument("a bad text")]])
def test_runs_by_one_model_stay_as_they_are(outcomes: list[Outcome]) -> None:
    """Also where no agent tells, and where a run failed by itself."""
    again = Again()
    assert of_one_model(outcomes, again) == outcomes
    assert again.calls == []


def test_those_of_the_fewer_runs_run_again() -> None:
    """By the model with the most."""
    again = Again()
    assert models(of_one_model(ran("a", "b", "b"), again)) == ["b", "b", "b"]
    assert again.calls == [([0], "b")]


def test_a_failure_may_be_of_the_other_model() -> None:
    """A text that failed runs again with those of the other model."""
    again = Again()
    outcomes = [*ran("a", "b", "b"), InvalidArgument("by whichever model")]
    assert models(of_one_model(outcomes, again)) == ["b"] * 4
    assert again.calls == [([0, 3], "b")]


def test_a_model_that_is_gone_is_not_the_one() -> None:
    """An agent may not have what the others ran."""
    again = Again("b")
    assert models(of_one_model(ran("a", "b", "b"), again)) == ["a", "a", "a"]
    assert again.calls == [([0], "b"), ([1, 2], "a")]


def test_no_answer_is_better_than_a_mixed_one() -> None:
    """Where no model could run all: the client may try again."""
    with pytest.raises(Unavailable, match="the agents do not agree on which model runs") as raised:
        of_one_model(ran("a", "b"), Again("a", "b"))
    assert raised.value.retry_after == 1
