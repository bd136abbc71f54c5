"""When readiness probes are told that the function is ready."""

from __future__ import annotations

import pytest

from function.core.readiness import Readiness

REFUSED = "tcp://agent:8888: Connection refused"


class ReadinessScene:
    """The time, and why there is no agent."""

    def __init__(self) -> None:
        self.now, self.problem = 50.0, REFUSED
        self.readiness = Readiness(lambda: self.problem or None, 15, lambda: self.now)

    def at(self, seconds: float, problem: str) -> str | None:
        self.now, self.problem = 50 + seconds, problem
        return self.readiness.reason()


def test_ready_with_the_agent_and_from_then_on() -> None:
    """A pod that was ready stays so while its agent is away."""
    scene = ReadinessScene()
    assert scene.at(0, REFUSED) == f"no agent: {REFUSED}"
    assert scene.at(5, "") is None
    assert scene.at(6, REFUSED) is None
    assert scene.at(1000, REFUSED) is None


def test_the_wait_for_the_first_agent_ends(caplog: pytest.LogCaptureFixture) -> None:
    """Then it is ready without one, says so once, and stays so."""
    scene = ReadinessScene()
    assert scene.at(14.9, REFUSED) is not None
    assert scene.at(15, REFUSED) is None
    assert scene.at(16, REFUSED) is None
    assert caplog.messages == [f"Ready without an agent after 15 s (READY_WITHOUT_AGENT_S): {REFUSED}"]


def test_never_ready_again_after_sigterm() -> None:
    """Whether or not there is an agent."""
    scene = ReadinessScene()
    assert scene.at(1, "") is None
    scene.readiness.drain()
    assert scene.at(2, "") == scene.at(100, REFUSED) == "shutting down"
