"""The lines about the connection to an agent: one for each change, and no more than one a minute while there is none."""

from __future__ import annotations

import logging

import pytest

from vaccel_rpc.errors import NotFound, Unavailable
from vaccel_rpc.history import ConnectionHistory

ADDRESS = "tcp://agent:8888"
REFUSED = Unavailable("Connection refused", at=ADDRESS)
CLOSED = Unavailable("the agent closed the connection", at=ADDRESS)


class FakeTime:
    """A clock that a test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(caplog: pytest.LogCaptureFixture) -> FakeTime:
    """The time by which a history goes; its lines are recorded."""
    caplog.set_level(logging.INFO)
    return FakeTime()


def test_each_change_is_one_line(clock: FakeTime, caplog: pytest.LogCaptureFixture) -> None:
    """Reached, lost, reached again and left, each with how long the state before it lasted."""
    history = ConnectionHistory(ADDRESS, clock)
    clock.now += 0.2
    history.reached("the agent speaks dialect 0.8; model registered as tweets")
    clock.now += 60
    history.lost(CLOSED)
    for _ in range(30):
        clock.now += 0.1
        history.failed(REFUSED, again=True)
    history.reached("the agent speaks dialect 0.8; model registered as tweets")
    clock.now += 5
    history.left()
    history.left()
    assert caplog.messages == [
        f"{ADDRESS}: the agent speaks dialect 0.8; model registered as tweets",
        f"{ADDRESS}: lost the agent after 60.0 s: the agent closed the connection",
        f"{ADDRESS}: the agent speaks dialect 0.8; model registered as tweets (after 3.0 s without an agent)",
        f"{ADDRESS}: left the agent after 5.0 s",
    ]
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING", "INFO", "INFO"]


def test_an_outage_has_a_line_a_minute(clock: FakeTime, caplog: pytest.LogCaptureFixture) -> None:
    """The first reason at once; then one a minute, whatever is tried in it."""
    history = ConnectionHistory(ADDRESS, clock)
    for _ in range(1000):
        history.failed(REFUSED, again=True)
        clock.now += 0.125
    assert caplog.messages == [
        f"{ADDRESS}: no agent: Connection refused; trying again",
        f"{ADDRESS}: still no agent after 60.0 s: Connection refused",
        f"{ADDRESS}: still no agent after 120.0 s: Connection refused",
    ]


def test_another_kind_of_reason_is_told_once(clock: FakeTime, caplog: pytest.LogCaptureFixture) -> None:
    """An agent that is there again, but without the model, is told before the minute is over; to and fro is not."""
    history = ConnectionHistory(ADDRESS, clock)
    history.reached("it speaks")
    history.lost(CLOSED)
    for _ in range(10):
        clock.now += 1
        history.failed(NotFound("no model 'tweets'"), again=True)
        history.failed(REFUSED, again=True)
    assert caplog.messages[2:] == [f"{ADDRESS}: still no agent after 1.0 s: NOT_FOUND: no model 'tweets'"]


def test_the_state(clock: FakeTime) -> None:
    """Its word, since when, and the last reason; one more attempt that fails does not begin another outage."""
    history = ConnectionHistory(ADDRESS, clock)
    assert (history.state.state, history.state.reason) == ("connecting", "connecting")
    history.failed(CLOSED, again=True)
    began = history.state.since
    history.failed(REFUSED, again=True)
    assert (history.state.state, history.state.since, history.state.reason) == ("failed", began, REFUSED.detail)
    history.reached("it speaks")
    assert (history.state.state, history.state.reason) == ("ready", None)
    assert history.state.since > began
    history.suspected(1.0)
    assert (history.state.state, history.state.reason) == ("suspect", "the agent does not answer")
    history.answered()
    assert (history.state.state, history.state.reason) == ("ready", None)
    history.lost(CLOSED)
    assert (history.state.state, history.state.reason) == ("failed", CLOSED.detail)


def test_who_asks_once_gets_the_error_instead_of_a_line(clock: FakeTime, caplog: pytest.LogCaptureFixture) -> None:
    """A command that does not try again says itself what went wrong."""
    history = ConnectionHistory(ADDRESS, clock)
    history.failed(REFUSED, again=False)
    assert caplog.messages == []
    assert history.state.reason == REFUSED.detail
