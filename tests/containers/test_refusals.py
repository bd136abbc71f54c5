"""What an agent's container says when it cannot start: one line, exit code 1."""

from __future__ import annotations

import pytest

from tests.containers.bench import AGENT, Bench, Container

pytestmark = pytest.mark.containers


def refused(container: Container) -> str:
    """The one line that it ended with."""
    assert container.wait(60) == 1, container.log
    lines = container.log.splitlines()
    said = [line for line in lines if line.startswith("vaccel-rpc-agent: ")]
    assert len(said) == 1, container.log
    assert lines[-1] == said[0]
    assert "Traceback" not in container.log
    return said[0]


def test_an_agent_without_a_model(bench: Bench) -> None:
    """An empty folder where the model should be: no agent that can do nothing."""
    options = (f"-v={bench.volume()}:/var/run/vaccel", "--tmpfs=/models:notmpcopyup")
    assert "no model" in refused(bench.run(AGENT, options=options))


def test_a_model_that_is_not_there(bench: Bench) -> None:
    """The one line names the model that --preload asks for."""
    env = {"VACCEL_AGENT_PRELOAD": "poems"}
    assert "poems" in refused(bench.run(AGENT, options=(f"-v={bench.volume()}:/var/run/vaccel",), env=env))


def test_two_agents_on_one_socket(bench: Bench) -> None:
    """The second says so and ends; the first goes on."""
    volume = (f"-v={bench.volume()}:/var/run/vaccel",)
    first = bench.run(AGENT, options=volume)
    first.wait_for("agent ready")
    assert "unix:///var/run/vaccel/vaccel.sock: another process listens there" in refused(bench.run(AGENT, options=volume))
    assert first.state["Status"] == "running"


def test_a_dead_agents_socket_is_taken_over(bench: Bench) -> None:
    """A socket file that a killed agent left is no other agent."""
    volume = (f"-v={bench.volume()}:/var/run/vaccel",)
    first = bench.run(AGENT, options=volume)
    first.wait_for("agent ready")
    first.signal("KILL")
    assert first.wait(10) == 137
    bench.run(AGENT, options=volume).wait_for("agent ready")
