"""The function while its agent is away: requests wait for it, are tried again, and are answered 503 when their time is up."""

from __future__ import annotations

import re
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.functions import function_of, post, wait_until_ready
from tests.support.ports import free_ports
from tests.support.servers import ServerProcess, SpawnAgent
from tests.support.sleepers import NAP, napping

HELLO = {"text": "hello"}


def get(server: ServerProcess, path: str) -> requests.Response:
    return requests.get(server.addresses["http"] + path, headers={"Accept": "application/json"}, timeout=5)


def about(server: ServerProcess) -> dict[str, Any]:
    """What the function says of its agent."""
    (agent,) = get(server, "/").json()["agents"]
    return dict(agent)


def metric(server: ServerProcess, name: str) -> float:
    """A sample without labels."""
    found = re.search(rf"^{name} (\S+)$", get(server, "/metrics").text, re.MULTILINE)
    assert found, name
    return float(found[1])


def waiting_for_agent(server: ServerProcess, count: int) -> None:
    """Returns when so many requests wait for an agent."""
    end = time.monotonic() + 10
    while metric(server, "function_requests_waiting_for_agent") != count:
        assert time.monotonic() < end


class SteadyRequests:
    """Twenty requests a second, each in a thread of its own, and how they were answered."""

    def __init__(self, server: ServerProcess) -> None:
        self._server, self._end = server, threading.Event()
        self.codes: Counter[int] = Counter()
        self.slowest = 0.0

    def __enter__(self) -> SteadyRequests:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        # Fewer than THREADS: on a busy machine an agent takes its time to come back.
        with ThreadPoolExecutor(100) as pool:
            while not self._end.wait(0.05):
                pool.submit(self._one)

    def _one(self) -> None:
        began = time.monotonic()
        answer = post(self._server, HELLO)
        self.codes[answer.status_code] += 1
        self.slowest = max(self.slowest, time.monotonic() - began)


@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_a_killed_agent_costs_no_request(spawn_agent: SpawnAgent, tmp_path: Path, transport: str) -> None:
    """Twenty requests a second: the agent is killed, is away for a while and comes back at its address; all are answered 200.

    Those that were sent meanwhile waited; nobody was told that the function is not ready.
    """
    address = f"tcp://127.0.0.1:{free_ports(1)[0]}" if transport == "tcp" else f"unix://{tmp_path}/a.sock"
    agent = spawn_agent("-a", address, *napping(tmp_path))
    with function_of(tmp_path, address, AGENT_WAIT_S="19", **NAP) as server:
        wait_until_ready(server)
        with SteadyRequests(server) as steady:
            for _ in range(2):
                time.sleep(0.5)
                agent.stop(signal.SIGKILL)
                time.sleep(1)
                assert get(server, "/health/readiness").status_code == 200
                agent = spawn_agent("-a", address, *napping(tmp_path))
            time.sleep(0.5)
        assert set(steady.codes) == {200}, steady.codes
        assert steady.codes[200] > 40
        assert steady.slowest > 0.9
        assert metric(server, "function_agent_waits_total") > 20
        assert metric(server, "function_requests_waiting_for_agent") == 0
    lines = [line.partition("] ")[2] for line in server.text.splitlines() if " vaccel_rpc]" in line]
    said = [re.sub(r"\d+\.\d", "N", line.removeprefix(f"{address}: ")) for line in lines]
    # A busy machine's agent may be suspect while it loads its model.
    said = [line for line in said if not line.startswith(("does not answer", "answers again"))]
    reached = next(line for line in said if line.startswith("the agent speaks"))
    assert said[0] == reached
    losses = [line for line in said if line.startswith("lost the agent after N s: ")]
    assert len(losses) == 2
    assert said.count(f"{reached} (after N s without an agent)") == 2
    assert said[-1] == "left the agent after N s"
    assert len(said) == 6, said


def test_when_the_wait_is_over_the_answer_is_503(tmp_path: Path) -> None:
    """With Retry-After and the reason, after AGENT_WAIT_S; while it waits, the gauge counts it. Then JSON says the state."""
    address = f"unix://{tmp_path}/a.sock"
    with function_of(tmp_path, address, AGENT_WAIT_S="2") as server:
        with ThreadPoolExecutor(3) as pool:
            began = time.monotonic()
            asked = [pool.submit(post, server, HELLO) for _ in range(3)]
            waiting_for_agent(server, 3)
            answers = [future.result() for future in asked]
        assert 2 <= time.monotonic() - began < 10
        for answer in answers:
            assert answer.status_code == 503
            assert int(answer.headers["Retry-After"]) >= 1
            assert answer.json()["detail"] == "no agent can be reached: No such file or directory"
        state = about(server)
        assert (state["state"], state["reason"]) == ("failed", "No such file or directory")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", state["since"])
        assert f'function_agent_since_timestamp_seconds{{agent="{address}",reason="UNAVAILABLE",state="failed"}}' in (
            get(server, "/metrics").text
        )
    assert server.text.count(f"{address}: no agent: No such file or directory; trying again\n") == 1
    assert "still no agent" not in server.text


def test_strangers_learn_the_reasons_and_not_the_places(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """Of each agent, in every answer; where they are is for the log and the metrics."""
    places = [f"unix://{tmp_path}/{name}.sock" for name in "ab"]
    reasons = ["No such file or directory", "Connection refused"]
    agent = spawn_agent("-a", places[1], *napping(tmp_path))
    with function_of(tmp_path, ",".join(places), AGENT_WAIT_S="0", **NAP) as server:
        server.wait_for("the agent speaks dialect")
        server.wait_for("No such file or directory; trying again")
        told = [get(server, path).text for path in ("/", "/page/state")]
        answer = post(server, HELLO)
        assert answer.status_code == 200
        agent.stop(signal.SIGKILL)
        end = time.monotonic() + 20
        while [state["reason"] for state in get(server, "/").json()["agents"]] != reasons:
            assert time.monotonic() < end, server.text
            time.sleep(0.05)
        refused = post(server, HELLO)
        ready = get(server, "/v2/models/nap/ready")
        told += [str(answer.headers), answer.text, str(refused.headers), refused.text, ready.text]
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert refused.json()["detail"] == f"no agent can be reached: {'; '.join(reasons)}"
        assert ready.json()["error"] == f"no agent: {'; '.join(reasons)}"
        assert sorted(agent["state"] for agent in get(server, "/").json()["agents"]) == ["failed", "failed"]
        assert not any("unix:" in text or str(tmp_path) in text for text in told)
        for place in places:
            assert f"{place}: " in server.text
            assert place in get(server, "/metrics").text


def test_beyond_the_concurrency_limit_nobody_waits(tmp_path: Path) -> None:
    """A request that waits holds one of THREADS; one more is refused at once, and health is still answered."""
    with (
        function_of(tmp_path, f"unix://{tmp_path}/a.sock", THREADS="2", AGENT_WAIT_S="4") as server,
        ThreadPoolExecutor(2) as pool,
    ):
        waiting = [pool.submit(post, server, HELLO) for _ in range(2)]
        waiting_for_agent(server, 2)
        refused = post(server, HELLO)
        assert not any(future.done() for future in waiting)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert "the concurrency limit (THREADS) is reached" in refused.json()["detail"]
        assert get(server, "/health/liveness").status_code == 200
        assert {future.result().status_code for future in waiting} == {503}


def test_a_cold_start_waits_for_its_agent(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """A request that came first is answered when the agent is there, and readiness follows; what was ready stays so."""
    address = f"unix://{tmp_path}/a.sock"
    with function_of(tmp_path, address, **NAP) as server, ThreadPoolExecutor(1) as pool:
        answer = get(server, "/health/readiness")
        assert answer.status_code == 503
        assert answer.json()["detail"].startswith("no agent: ")
        held = pool.submit(post, server, HELLO)
        time.sleep(1)
        agent = spawn_agent("-a", address, *napping(tmp_path))
        assert held.result().status_code == 200
        assert get(server, "/health/readiness").status_code == 200
        assert about(server)["state"] == "ready"
        agent.stop(signal.SIGKILL)
        server.wait_for("lost the agent after")
        assert get(server, "/health/readiness").status_code == 200
        assert get(server, "/v2/health/ready").status_code == 200
        model = get(server, "/v2/models/nap/ready")
        assert (model.status_code, model.json()["ready"]) == (503, False)
        assert re.match("no agent: [A-Z]", model.json()["error"])


def test_without_an_agent_it_is_ready_in_the_end(tmp_path: Path) -> None:
    """After READY_WITHOUT_AGENT_S, so that a request that was held elsewhere is answered with the reason."""
    with function_of(tmp_path, f"unix://{tmp_path}/a.sock", READY_WITHOUT_AGENT_S="3", AGENT_WAIT_S="0") as server:
        assert get(server, "/health/readiness").status_code == 503
        assert not get(server, "/").json()["ready"]
        wait_until_ready(server)
        assert get(server, "/").json()["ready"]
        assert about(server)["state"] == "failed"
        assert post(server, HELLO).status_code == 503
    assert server.text.count("Ready without an agent after 3 s (READY_WITHOUT_AGENT_S): ") == 1
