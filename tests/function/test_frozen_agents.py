"""A function whose agents stand still: none of them answers, though every connection is open."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.support.functions import function_of, post, wait_until_ready
from tests.support.servers import ServerProcess, SpawnAgent
from tests.support.sleepers import NAP, napping

pytestmark = pytest.mark.timeout(180)

HELLO = {"text": "hello"}
LIMIT_S, WAIT_S = 15, 3


@contextmanager
def frozen(agents: list[ServerProcess]) -> Iterator[None]:
    """The agents stand still for so long."""
    for agent in agents:
        os.kill(agent.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for agent in agents:
            os.kill(agent.process.pid, signal.SIGCONT)


def states(server: ServerProcess) -> list[tuple[str, str | None]]:
    """State and reason of each agent, as the function says."""
    about = requests.get(server.addresses["http"] + "/", headers={"Accept": "application/json"}, timeout=5).json()
    return [(agent["state"], agent["reason"]) for agent in about["agents"]]


@pytest.mark.parametrize("count", [1, 2])
def test_requests_wait_and_are_told_why(spawn_agent: SpawnAgent, tmp_path: Path, count: int) -> None:
    """The function stays ready. A request that no agent took is answered 503 after AGENT_WAIT_S, with `Retry-After` and what is
    wrong with each agent; one that waits when an agent goes on is answered by it.
    """
    addresses = [f"unix://{tmp_path}/a{i}.sock" for i in range(count)]
    agents = [spawn_agent("-a", address, *napping(tmp_path)) for address in addresses]
    settings = {**NAP, "REQUEST_TIMEOUT_S": str(LIMIT_S), "AGENT_WAIT_S": str(WAIT_S)}
    with function_of(tmp_path, ",".join(addresses), **settings) as server, ThreadPoolExecutor(4) as pool:
        wait_until_ready(server)
        server.wait_for(f"{addresses[-1]}: the agent speaks")
        assert post(server, HELLO).status_code == 200
        with frozen(agents):
            taken = pool.submit(post, server, HELLO)
            end = time.monotonic() + 20
            while "ready" in (state for state, _ in states(server)):
                assert time.monotonic() < end, states(server)
                time.sleep(0.05)
            began = time.monotonic()
            answer = post(server, HELLO)
            assert answer.status_code == 503
            assert WAIT_S <= time.monotonic() - began < WAIT_S + 3
            assert int(answer.headers["Retry-After"]) >= 1
            detail = answer.json()["detail"]
            assert "the agent does not answer" in detail
            assert requests.get(server.addresses["http"] + "/health/readiness", timeout=5).status_code == 200
            model = requests.get(server.addresses["http"] + "/v2/models/nap/ready", timeout=5)
            assert model.status_code == 503
            assert (
                'function_agents{state="suspect"} 0.0' not in requests.get(server.addresses["http"] + "/metrics", timeout=5).text
            )
            waiting = pool.submit(post, server, HELLO)
            time.sleep(0.5)
        assert waiting.result().status_code == 200
        assert taken.result().status_code == 200
        assert post(server, HELLO).status_code == 200
