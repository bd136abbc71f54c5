"""Lines that are classified together share a deadline; what succeeds alone succeeds in a stream."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from function.core.classifier import Classifier
from function.core.jsonlines import Answers, Line
from tests.support.inprocess import extras, service
from vaccel_rpc.client import RunResult
from vaccel_rpc.errors import DeadlineExceeded, ResourceExhausted, RpcError, Unavailable
from vaccel_rpc.tensors import Tensor, from_values, to_values

SLOW, FAST = "a text of several words more", "tea"
FROZEN = "no answer at all for this text that has many more words than others"


class TimedRunner:
    """Plays an agent that needs a second for each token of a text, within ``seconds``; a longer call raises ``error``."""

    def __init__(self, seconds: int, error: Exception) -> None:
        self._seconds, self._error = seconds, error
        self.calls: list[int] = []

    def run_each(self, requests: Sequence[Sequence[Tensor]], *_: Any, **__: Any) -> list[RunResult | RpcError]:
        self.calls.append(len(requests))
        if sum(len(to_values(request[0])) for request in requests) > self._seconds:
            raise self._error
        return [RunResult([from_values("float32", (1, 3), (0.0, 0.0, 2.0))]) for _ in requests]


def statuses(texts: list[str], runner: TimedRunner, answers: Answers | None = None) -> list[int]:
    answers = answers or answers_of(runner)
    lines: list[Line] = [(number, json.dumps({"text": text}).encode()) for number, text in enumerate(texts, 1)]
    body, _ = answers.of(lines)
    return [json.loads(row).get("error", {}).get("status", 200) for row in body.split(b"\n")[:-1]]


def answers_of(runner: TimedRunner) -> Answers:
    played = replace(service(), classifier=Classifier.of_file(extras(), runner), timeout=0.0)
    return Answers(played, {}, {}, summary=False)


@pytest.mark.parametrize("error", [DeadlineExceeded("late"), ResourceExhausted("the queue is full")])
def test_lines_that_are_too_much_together_succeed_alone(error: Exception) -> None:
    """As they do in a request of their own: the deadline and the queue's room are those of a line."""
    runner = TimedRunner(10, error)
    assert statuses([FAST, *[SLOW] * 5], runner) == [200] * 6
    assert runner.calls == [6, *[1] * 6]


def test_a_line_that_is_late_alone_leaves_the_others_theirs() -> None:
    """However many such lines are before a shorter one."""
    runner = TimedRunner(10, DeadlineExceeded("late"))
    assert statuses([*[FROZEN] * 5, SLOW, FROZEN, FAST, FROZEN], runner) == [*[504] * 5, 200, 504, 200, 504]
    assert runner.calls == [9, 1, 1, 1, 1], "the longest are not tried after two that are as long"


def test_a_frozen_agent_costs_a_group_few_deadlines() -> None:
    """Two lines that get no answer alone speak for those that are no shorter."""
    runner = TimedRunner(0, DeadlineExceeded("late"))
    assert statuses([FAST] * 32, runner) == [504] * 32
    assert runner.calls == [32, 1, 1]


def test_without_an_agent_lines_are_not_tried_alone() -> None:
    """That error is no matter of a group's size."""
    runner = TimedRunner(0, Unavailable("gone"))
    assert statuses([FAST] * 4, runner) == [503] * 4
    assert runner.calls == [4]


def test_an_unforeseen_error_is_its_lines_alone() -> None:
    """However many such lines there are in a row."""
    runner = TimedRunner(10, ArithmeticError("a fault"))
    assert statuses([FROZEN, FROZEN, FROZEN, FAST], runner) == [500, 500, 500, 200]


def test_a_group_ends_when_nobody_reads_its_answers() -> None:
    """A client that went away does not keep the agent busy line by line."""
    runner = TimedRunner(10, DeadlineExceeded("late"))
    answers = answers_of(runner)
    answers.abandon()
    assert statuses([SLOW] * 5, runner, answers) == [504] * 5
    assert runner.calls == [5]
