"""An agent that says that it shuts down: its link finishes, and the next one is made meanwhile."""

from __future__ import annotations

import pytest

from tests.support.fakelinks import REFUSED, FakeAgent, OneAgent, until


def test_an_agent_that_leaves_finishes(caplog: pytest.LogCaptureFixture) -> None:
    """Its link gets nothing new at once, ends when its calls are over, and attempts to reach the next agent begin meanwhile."""
    caplog.set_level("INFO")
    agent = FakeAgent()
    pool = OneAgent(agent)
    pool.start()
    until(lambda: pool.up)
    first = agent.links[0]
    first.running, agent.up = 2, False
    first.drain()
    assert pool.pick(1) is None
    assert (pool.state.state, pool.state.reason, pool.drains) == ("draining", "the agent is shutting down", 1)
    first.drain()
    until(lambda: agent.attempts > 3)
    assert (pool.state.state, pool.drains, first.closed) == ("draining", 1, None)
    first.running = 0
    until(lambda: pool.state.state == "failed")
    assert first.finished
    assert pool.state.reason == REFUSED.message
    agent.up = True
    assert pool.get(wait=5) is agent.links[1]
    assert pool.state.state == "ready"
    pool.close()
    assert [record.levelname for record in caplog.records] == ["INFO"] * 4
    assert "leaving the agent after" in caplog.messages[1]


def test_an_agent_that_leaves_is_replaced_while_it_finishes() -> None:
    """A new link is used at once, and what becomes of the old one does not change its state."""
    agent = FakeAgent()
    pool = OneAgent(agent)
    first = pool.get()
    first.running = 1
    first.drain()
    assert pool.get(wait=5) is agent.links[1]
    assert pool.state.state == "ready"
    first.running = 0
    until(lambda: first.finished)
    assert pool.state.state == "ready"
    second = agent.links[1]
    second.draining, agent.up = True, False
    second.end()
    assert (pool.state.state, pool.drains) == ("failed", 2)
    pool.close()
