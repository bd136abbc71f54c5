"""How a link is kept: one attempt at a time, which every caller who waits shares, and attempts again after each end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.support.fakelinks import REFUSED, FakeAgent, FakeLink, OneAgent, until
from vaccel_rpc.errors import NotFound, RpcError, Unavailable
from vaccel_rpc.pool.figures import Waits


@pytest.fixture
def callers() -> Iterator[ThreadPoolExecutor]:
    """Threads that wait for links."""
    with ThreadPoolExecutor(100) as executor:
        yield executor


def test_nothing_is_attempted_before_somebody_asks() -> None:
    """The first caller begins; what it gets is kept for all that follow."""
    agent = FakeAgent()
    pool = OneAgent(agent)
    assert not pool.up
    assert (pool.state.state, pool.state.reason) == ("connecting", "connecting")
    assert pool.get() is pool.get() is agent.links[0]
    assert pool.state.state == "ready"
    assert pool.state.reason is None
    assert agent.attempts == 1
    pool.close()


def test_an_attempts_error_is_its_callers(callers: ThreadPoolExecutor) -> None:
    """Without a wait, callers share the attempt that runs or comes next, and get its error, each a copy of its own."""
    agent = FakeAgent(up=False, seconds=0.2)
    pool = OneAgent(agent)
    asked = [callers.submit(pool.get) for _ in range(50)]
    errors = [future.exception() for future in asked]
    assert {str(error) for error in errors} == {REFUSED.message}
    assert len({id(error) for error in errors}) == len(errors)
    # Two, unless the machine takes longer than one attempt to start the callers' threads.
    assert agent.attempts < 10
    attempts = agent.attempts
    time.sleep(0.5)
    assert agent.attempts == attempts, "nobody waits, and nobody has started it"
    pool.close()


def test_many_callers_wait_and_share_each_attempt(callers: ThreadPoolExecutor) -> None:
    """A hundred callers wait; there is one attempt at a time and few of them, and all get the link of the one that succeeds."""
    agent = FakeAgent(up=False, seconds=0.01)
    pool = OneAgent(agent)
    pool.start()
    waiting: list[Future[FakeLink]] = [callers.submit(pool.get, None, 10) for _ in range(100)]
    until(lambda: pool.waits == Waits(100, 100))
    began, before = time.monotonic(), agent.attempts
    time.sleep(0.6)
    passed, attempts = time.monotonic() - began, agent.attempts - before
    assert 1 <= attempts <= passed / 0.1 + 1
    agent.up = True
    assert {id(future.result(10)) for future in waiting} == {id(agent.links[0])}
    assert agent.most_at_once == 1
    assert len(agent.links) == 1
    assert pool.waits == Waits(0, 100)
    pool.close()


@pytest.mark.parametrize(("deadline", "wait", "seconds"), [(None, 0.3, 0.3), (0.2, 5, 0.2), (None, 0, 0)])
def test_the_wait_has_an_end(deadline: float | None, wait: float, seconds: float) -> None:
    """After the wait, or at an earlier deadline, the caller gets the last attempt's error."""
    agent = FakeAgent(up=False)
    pool = OneAgent(agent)
    with pytest.raises(Unavailable, match="refused"):
        pool.get()
    began = time.monotonic()
    with pytest.raises(Unavailable, match="refused"):
        pool.get(None if deadline is None else began + deadline, wait)
    assert seconds <= time.monotonic() - began < seconds + 4
    assert pool.waits.now == 0
    pool.close()


def test_an_attempt_without_an_end_does_not_hold_a_caller() -> None:
    """The caller's own time counts, not that of the attempt, which goes on."""
    agent = FakeAgent(seconds=1)
    pool = OneAgent(agent)
    with pytest.raises(Unavailable, match="still connecting"):
        pool.get(time.monotonic() + 0.1)
    assert pool.get(time.monotonic() + 10) is agent.links[0]
    assert agent.attempts == 1
    pool.close()


def test_what_waiting_would_not_mend_is_told_at_once() -> None:
    """An agent without the model: no caller waits out its time."""
    agent = FakeAgent(up=False)
    agent.problem = NotFound("no model 'tweets'")
    pool = OneAgent(agent)
    began = time.monotonic()
    with pytest.raises(NotFound, match="no model"):
        pool.get(None, 30)
    assert time.monotonic() - began < 10
    pool.close()


@pytest.mark.parametrize("noticed", ["by the connection", "by a call"])
def test_a_link_that_ends_is_replaced(noticed: str) -> None:
    """At once and by itself, whoever notices it first; the state says why it ended."""
    agent = FakeAgent()
    pool = OneAgent(agent)
    pool.start()
    first = pool.get()
    agent.up = False
    if noticed == "by a call":
        pool.drop(first, NotFound("no session 3"))
        pool.drop(first, NotFound("no session 3"))
    else:
        first.end()
    assert not pool.up
    assert pool.state.state == "failed"
    until(lambda: agent.attempts > 2)
    agent.up = True
    until(lambda: pool.up)
    assert pool.get() is agent.links[1]
    assert first.closed
    pool.close()


def test_the_end_releases_who_waits() -> None:
    """Callers get an error, the link that an attempt makes by then is closed, and later callers get the error at once."""
    agent = FakeAgent(seconds=0.3)
    pool = OneAgent(agent)
    errors: list[Exception] = []

    def wait() -> None:
        try:
            pool.get(None, 30)
        except RpcError as error:
            errors.append(error)

    caller = threading.Thread(target=wait)
    caller.start()
    until(lambda: agent.attempts == 1)
    pool.close()
    caller.join(5)
    assert [str(error) for error in errors] == ["the connection was closed"]
    until(lambda: [link.closed is not None for link in agent.links] == [True])
    with pytest.raises(Unavailable, match="closed"):
        pool.get(None, 30)
    assert agent.attempts == 1


def test_an_unexpected_error_does_not_end_the_attempts(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is logged with its traceback, its caller gets INTERNAL, and the next attempt can succeed."""
    agent = FakeAgent()
    calls = iter([ValueError("not thought of"), None])

    make = agent.connect

    def connect(on_change: Callable[[], None]) -> FakeLink:
        if error := next(calls):
            raise error
        return make(on_change)

    monkeypatch.setattr(agent, "connect", connect)

    pool = OneAgent(agent)
    with pytest.raises(RpcError, match="connecting failed: ValueError"):
        pool.get()
    assert "not thought of" in caplog.text
    assert pool.get() is agent.links[0]
    pool.close()
