"""A function with several agents: what its clients see of an agent's end, freeze or upgrade, which is nothing."""

from __future__ import annotations

import os
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.support.functions import function_of, post, wait_until_ready
from tests.support.loops import ClientLoops
from tests.support.servers import ServerProcess, SpawnAgent
from tests.support.sleepers import NAP, napping
from vaccel_rpc.pool.health import ANSWER_S, OVERDUE_S

pytestmark = pytest.mark.timeout(300)

#: Texts with the label that the model gives them.
TEXTS = {"What a lovely day for a walk in the park": "hate-speech", "I am going to make some tea": "offensive-language"}


class Clients(ClientLoops):
    """Sixteen clients that each send their next text 50 ms after the last one is answered, and check it."""

    def __init__(self, server: ServerProcess) -> None:
        super().__init__(16, self._ask, pause=0.05)
        self._server = server
        self.failures: Counter[str] = Counter()
        self.latencies: list[float] = []

    def _ask(self, number: int) -> None:
        text, label = [*TEXTS.items()][number % len(TEXTS)]
        began = time.monotonic()
        answer = post(self._server, {"text": text})
        self.latencies.append(time.monotonic() - began)
        if answer.status_code != 200:
            self.failures[f"{answer.status_code} {answer.text}"] += 1
        elif answer.json()["label"] != label:
            self.failures["wrong answer"] += 1


@contextmanager
def function_on(folder: Path, addresses: list[str]) -> Iterator[ServerProcess]:
    """A function that has reached all of these agents."""
    with function_of(folder, ",".join(addresses), REQUEST_TIMEOUT_S="5", **NAP) as server:
        wait_until_ready(server)
        ready(server, len(addresses))
        yield server


def states(server: ServerProcess) -> list[str]:
    """The state of each agent, as the function says."""
    about = requests.get(server.addresses["http"] + "/", headers={"Accept": "application/json"}, timeout=5).json()
    return [agent["state"] for agent in about["agents"]]


def ready(server: ServerProcess, count: int) -> None:
    """Returns when so many agents are ready."""
    end = time.monotonic() + 60
    while states(server).count("ready") != count:
        assert time.monotonic() < end, states(server)
        time.sleep(0.05)


def test_agents_end_and_are_upgraded_one_by_one(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """Killed, told to end, and a rolling restart of three: every request is answered, and rightly. An agent that is told to end
    is left, which the log says once, and a metric counts.
    """
    addresses = [f"unix://{tmp_path}/a{i}.sock" for i in range(3)]
    agents = [spawn_agent("-a", address, *napping(tmp_path)) for address in addresses]
    with function_on(tmp_path, addresses) as server, Clients(server) as clients:
        for sig in (signal.SIGKILL, signal.SIGTERM):
            for i, address in enumerate(addresses):
                agents[i].stop(sig)
                agents[i] = spawn_agent("-a", address, *napping(tmp_path))
                ready(server, 3)
        metrics = requests.get(server.addresses["http"] + "/metrics", timeout=5).text
    assert clients.failures == {}
    assert "function_agent_drains_total 3.0" in metrics
    lost, *left = (server.text.count(f": {what} the agent after") for what in ("lost", "leaving", "left"))
    # On a busy machine one that lives may be given up, too.
    assert lost >= 3
    assert left == [3, 3]
    assert len(clients.latencies) > 200


def test_a_frozen_agent_costs_a_second(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """It stands still for longer than a request may take: what was in flight there is answered by the other within the limit
    for suspicion, and nothing fails. The metrics say what happened.
    """
    addresses = [f"unix://{tmp_path}/a{i}.sock" for i in range(2)]
    agents = [spawn_agent("-a", address, *napping(tmp_path)) for address in addresses]
    with function_on(tmp_path, addresses) as server:
        with Clients(server) as clients:
            time.sleep(1)
            os.kill(agents[0].process.pid, signal.SIGSTOP)
            try:
                time.sleep(12)
                end = time.monotonic() + 30
                while sorted(states(server)) != ["failed", "ready"]:
                    assert time.monotonic() < end, states(server)
                    time.sleep(0.05)
            finally:
                os.kill(agents[0].process.pid, signal.SIGCONT)
            ready(server, 2)
        metrics = requests.get(server.addresses["http"] + "/metrics", timeout=5).text
    assert clients.failures == {}
    assert max(clients.latencies) < OVERDUE_S + ANSWER_S + 2
    assert "function_agent_suspects_total 1.0" in metrics
    assert 'function_agent_retries_total{reason="UNAVAILABLE"}' in metrics
    for address in addresses:
        assert f'function_agent_runs_total{{agent="{address}"}}' in metrics


def test_a_frozen_agent_with_two_links_costs_no_more(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """As on a cluster: its own address is preferred, and it is among all agents. What was in flight is sent again once, to the
    other agent, and not over the idle link to the same one first.
    """
    own, same, other = (f"unix://{tmp_path}/{name}.sock" for name in ("own", "same", "other"))
    agent = spawn_agent("-a", own, "-a", same, *napping(tmp_path))
    spawn_agent("-a", other, *napping(tmp_path))
    with function_on(tmp_path, [f"{own};prefer", same, other]) as server:
        with Clients(server) as clients:
            time.sleep(1)
            os.kill(agent.process.pid, signal.SIGSTOP)
            try:
                time.sleep(4)
            finally:
                os.kill(agent.process.pid, signal.SIGCONT)
            ready(server, 3)
        metrics = requests.get(server.addresses["http"] + "/metrics", timeout=5).text
    assert clients.failures == {}
    assert "function_agent_suspects_total 2.0" in metrics
    retries = re.search(r'function_agent_retries_total{reason="UNAVAILABLE"} (\S+)', metrics)
    assert retries is not None
    assert 0 < float(retries[1]) <= 16
