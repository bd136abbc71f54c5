"""A pool of one agent without one: links that a test makes, ends and drains."""

from __future__ import annotations

import time
from collections.abc import Callable

from vaccel_rpc.errors import RpcError, Unavailable
from vaccel_rpc.history import AgentState
from vaccel_rpc.pool.pool import AgentPool
from vaccel_rpc.pool.targets import parse_targets

ADDRESS = "unix:///run/a.sock"
REFUSED = Unavailable(f"{ADDRESS}: Connection refused")


class FakeLink:
    """A link that a test ends."""

    how = "it speaks"
    warm = True

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self.closed: RpcError | None = None
        self.draining = self.finished = False
        self.running = 0

    def end(self, why: str = "the agent closed the connection") -> None:
        self.closed = self.closed or Unavailable(f"{ADDRESS}: {why}")
        self._on_change()

    def drain(self) -> None:
        self.draining = True
        self._on_change()

    def finish(self) -> None:
        self.finished = True
        self.close()

    def close(self, why: str = "the connection was closed") -> None:
        self.end(why)


class FakeAgent:
    """Makes links while it is ``up``, and otherwise fails with ``problem``; an attempt takes ``seconds``."""

    def __init__(self, *, up: bool = True, seconds: float = 0) -> None:
        self.up, self.seconds = up, seconds
        self.problem: RpcError = REFUSED
        self.attempts = self.at_once = self.most_at_once = 0
        self.links: list[FakeLink] = []

    def connect(self, on_change: Callable[[], None]) -> FakeLink:
        self.attempts += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        time.sleep(self.seconds)
        self.at_once -= 1
        if not self.up:
            raise self.problem
        self.links.append(FakeLink(on_change))
        return self.links[-1]


class OneAgent(AgentPool[FakeLink]):
    """A pool of one agent."""

    def __init__(self, agent: FakeAgent) -> None:
        super().__init__(parse_targets(ADDRESS), lambda _: agent.connect)

    def get(self, deadline: float | None = None, wait: float | None = None) -> FakeLink:
        """The agent's link."""
        return self.take(1, deadline=deadline, wait=wait)[1]

    @property
    def up(self) -> bool:
        """Whether runs can be sent."""
        return bool(self.usable)

    @property
    def state(self) -> AgentState:
        """The agent's state."""
        (state,) = self.states
        return state

    def drop(self, link: FakeLink, why: RpcError) -> None:
        """A call has shown that the link is of no use."""
        self.members[0].keeper.drop(link, why)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)
