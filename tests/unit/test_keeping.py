"""How a link is kept: one attempt at a time, which every caller who waits shares, and attempts again after each end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from vaccel_rpc.errors import NotFound, RpcError, Unavailable
from vaccel_rpc.history import ConnectionHistory
from vaccel_rpc.keeping import LinkKeeper, Waits

ADDRESS = "unix:///run/a.sock"
REFUSED = Unavailable(f"{ADDRESS}: Connection refused")


class FakeLink:
    """A link that a test ends."""

    how = "it speaks"

    def __init__(self, on_close: Callable[[], None]) -> None:
        self._on_close = on_close
        self.closed: RpcError | None = None

    def end(self, why: str = "the agent closed the connection") -> None:
        self.closed = self.closed or Unavailable(f"{ADDRESS}: {why}")
        self._on_close()

    def close(self) -> None:
        self.end("the connection was closed")


class FakeAgent:
    """Makes links while it is ``up``, and otherwise fails with ``problem``; an attempt takes ``seconds``."""

    def __init__(self, *, up: bool = True, seconds: float = 0) -> None:
        self.up, self.seconds = up, seconds
        self.problem: RpcError = REFUSED
        self.attempts = self.at_once = self.most_at_once = 0
        self.links: list[FakeLink] = []

    def connect(self, on_close: Callable[[], None]) -> FakeLink:
        self.attempts += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        time.sleep(self.seconds)
        self.at_once -= 1
        if not self.up:
            raise self.problem
        self.links.append(FakeLink(on_close))
        return self.links[-1]


def keeper_of(agent: FakeAgent) -> LinkKeeper[FakeLink]:
    return LinkKeeper(agent.connect, ConnectionHistory(ADDRESS))


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def callers() -> Iterator[ThreadPoolExecutor]:
    """Threads that wait for links."""
    with ThreadPoolExecutor(100) as pool:
        yield pool


def test_nothing_is_attempted_before_somebody_asks() -> None:
    """The first caller begins; what it gets is kept for all that follow."""
    agent = FakeAgent()
    keeper = keeper_of(agent)
    assert not keeper.up
    assert (keeper.state.reachable, keeper.state.reason) == (False, "connecting")
    assert keeper.get() is keeper.get() is agent.links[0]
    assert keeper.state.reachable
    assert keeper.state.reason is None
    assert agent.attempts == 1
    keeper.close()


def test_an_attempts_error_is_its_callers(callers: ThreadPoolExecutor) -> None:
    """Without a wait, callers share the attempt that runs or comes next, and get its error, each a copy of its own."""
    agent = FakeAgent(up=False, seconds=0.2)
    keeper = keeper_of(agent)
    asked = [callers.submit(keeper.get) for _ in range(50)]
    errors = [future.exception() for future in asked]
    assert {str(error) for error in errors} == {REFUSED.message}
    assert len({id(error) for error in errors}) == len(errors)
    assert agent.attempts <= 2
    attempts = agent.attempts
    time.sleep(0.5)
    assert agent.attempts == attempts, "nobody waits, and nobody has started it"
    keeper.close()


def test_many_callers_wait_and_share_each_attempt(callers: ThreadPoolExecutor) -> None:
    """A hundred callers wait; there is one attempt at a time and few of them, and all get the link of the one that succeeds."""
    agent = FakeAgent(up=False, seconds=0.01)
    keeper = keeper_of(agent)
    keeper.start()
    waiting: list[Future[FakeLink]] = [callers.submit(keeper.get, None, 10) for _ in range(100)]
    until(lambda: keeper.waits == Waits(100, 100))
    began, before = time.monotonic(), agent.attempts
    time.sleep(0.6)
    passed, attempts = time.monotonic() - began, agent.attempts - before
    assert 1 <= attempts <= passed / 0.1 + 1
    agent.up = True
    assert {id(future.result(10)) for future in waiting} == {id(agent.links[0])}
    assert agent.most_at_once == 1
    assert len(agent.links) == 1
    assert keeper.waits == Waits(0, 100)
    keeper.close()


@pytest.mark.parametrize(("deadline", "wait", "seconds"), [(None, 0.3, 0.3), (0.2, 5, 0.2), (None, 0, 0)])
def test_the_wait_has_an_end(deadline: float | None, wait: float, seconds: float) -> None:
    """After the wait, or at an earlier deadline, the caller gets the last attempt's error."""
    agent = FakeAgent(up=False)
    keeper = keeper_of(agent)
    with pytest.raises(Unavailable, match="refused"):
        keeper.get()
    began = time.monotonic()
    with pytest.raises(Unavailable, match="refused"):
        keeper.get(None if deadline is None else began + deadline, wait)
    assert seconds <= time.monotonic() - began < seconds + 2
    assert keeper.waits.now == 0
    keeper.close()


def test_an_attempt_without_an_end_does_not_hold_a_caller() -> None:
    """The caller's own time counts, not that of the attempt, which goes on."""
    agent = FakeAgent(seconds=1)
    keeper = keeper_of(agent)
    with pytest.raises(Unavailable, match="still connecting"):
        keeper.get(time.monotonic() + 0.1)
    assert keeper.get(time.monotonic() + 10) is agent.links[0]
    assert agent.attempts == 1
    keeper.close()


def test_what_waiting_would_not_mend_is_told_at_once() -> None:
    """An agent without the model: no caller waits out its time."""
    agent = FakeAgent(up=False)
    agent.problem = NotFound("no model 'tweets'")
    keeper = keeper_of(agent)
    began = time.monotonic()
    with pytest.raises(NotFound, match="no model"):
        keeper.get(None, 30)
    assert time.monotonic() - began < 10
    keeper.close()


@pytest.mark.parametrize("noticed", ["by the connection", "by a call"])
def test_a_link_that_ends_is_replaced(noticed: str) -> None:
    """At once and by itself, whoever notices it first; the state says why it ended."""
    agent = FakeAgent()
    keeper = keeper_of(agent)
    keeper.start()
    first = keeper.get()
    agent.up = False
    if noticed == "by a call":
        keeper.drop(first, NotFound("no session 3"))
        keeper.drop(first, NotFound("no session 3"))
    else:
        first.end()
    assert not keeper.up
    assert not keeper.state.reachable
    until(lambda: agent.attempts > 2)
    agent.up = True
    until(lambda: keeper.up)
    assert keeper.get() is agent.links[1]
    assert first.closed
    keeper.close()


def test_the_end_releases_who_waits() -> None:
    """Callers get an error, the link that an attempt makes by then is closed, and later callers get the error at once."""
    agent = FakeAgent(seconds=0.3)
    keeper = keeper_of(agent)
    errors: list[Exception] = []

    def wait() -> None:
        try:
            keeper.get(None, 30)
        except RpcError as error:
            errors.append(error)

    caller = threading.Thread(target=wait)
    caller.start()
    until(lambda: agent.attempts == 1)
    keeper.close()
    caller.join(5)
    assert [str(error) for error in errors] == ["the connection was closed"]
    until(lambda: [link.closed is not None for link in agent.links] == [True])
    with pytest.raises(Unavailable, match="closed"):
        keeper.get(None, 30)
    assert agent.attempts == 1


def test_an_unexpected_error_does_not_end_the_attempts(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged with its traceback, its caller gets INTERNAL, and the next attempt can succeed."""
    agent = FakeAgent()
    calls = iter([ValueError("not thought of"), None])

    def connect(on_close: Callable[[], None]) -> FakeLink:
        if error := next(calls):
            raise error
        return agent.connect(on_close)

    keeper = LinkKeeper(connect, ConnectionHistory(ADDRESS))
    with pytest.raises(RpcError, match="connecting failed: ValueError"):
        keeper.get()
    assert "not thought of" in caplog.text
    assert keeper.get() is agent.links[0]
    keeper.close()
