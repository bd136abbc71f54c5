"""An agent that is ill knows it: real agents whose models hang, or whose devices are lost."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.support.clients import client
from tests.support.servers import ServerProcess, SpawnAgent
from vaccel_rpc.client import PendingResult, RunResult, VaccelClient
from vaccel_rpc.errors import Internal, RpcError, Unavailable
from vaccel_rpc.tensors import from_values, to_values

HANG, ASSERT, LOST, EXIT, SLOW = 13, 14, 15, 16, 17


def ill_agent(spawn_agent: SpawnAgent, folder: Path, *options: str, limit: float = 1, ready: bool = True) -> ServerProcess:
    """An agent whose model falls ill by those inputs; it has metrics at ``agent.addresses["http"]``."""
    store = folder / "store"
    store.mkdir(exist_ok=True)
    inputs = {HANG: "hang", ASSERT: "assert", LOST: "lost", EXIT: "exit", SLOW: 2}
    (store / "ill.ill").write_text(json.dumps(inputs))
    agent = spawn_agent(
        "--plugin", "tests.support.illplugin", "--models", str(store), "--metrics-address", "127.0.0.1:0",
        "--max-run-s", str(limit), *options, ready=ready,
    )  # fmt: skip
    agent.addresses["http"] = agent.wait_for(r"Metrics and health on '(http://[^']+)'")[1]
    return agent


class Runs:
    """Runs of the model by one client."""

    def __init__(self, agent: ServerProcess, scheme: str = "unix") -> None:
        self.calls: VaccelClient = client(agent, scheme)
        self._session = self.calls.create_session()
        self._model = self.calls.register_path(self._session, "ill")

    def start(self, value: int) -> PendingResult[RunResult]:
        return self.calls.start_run(self._session, self._model, [from_values("int64", [1], [value])], 1, 30)

    def values(self, value: int) -> Sequence[Any]:
        return to_values(self.start(value).result().outputs[0])


def page(agent: ServerProcess, path: str) -> tuple[int, str]:
    """Status and body of one of the probes."""
    answer = requests.get(agent.addresses["http"] + path, timeout=5)
    return answer.status_code, answer.text


def error_of(run: PendingResult[RunResult]) -> RpcError:
    """The run's error."""
    with pytest.raises(RpcError) as caught:
        run.result()
    return caught.value


@pytest.mark.parametrize("scheme", ["unix", "grpc"])
def test_two_runs_that_do_not_return_end_the_agent(spawn_agent: SpawnAgent, tmp_path: Path, scheme: str) -> None:
    """They hold both workers: their clients get an error that says not to run them elsewhere, what waits is refused so that it is,
    the probes have the reason, and the process ends with a code of its own.
    """
    addresses = ("-a", f"unix://{tmp_path}/a.sock", "-a", "grpc://127.0.0.1:0")
    agent = ill_agent(spawn_agent, tmp_path, *addresses, "--grace-s", "3")
    runs, others = Runs(agent, scheme), Runs(agent, scheme)
    assert (page(agent, "/readyz"), page(agent, "/healthz")) == ((200, "ready\n"), (200, "ok\n"))
    hung = [runs.start(HANG)]
    time.sleep(0.2)
    hung.append(runs.start(HANG))
    time.sleep(0.2)
    waiting = others.start(1)
    for error in (error_of(run) for run in hung):
        assert isinstance(error, Internal)
        assert "(--max-run-s)" in error.message
    assert isinstance(error_of(waiting), Unavailable)
    assert agent.process.wait(20) == 70
    assert re.search(
        r"ERROR .*The agent is ill and ends with exit code 70: .*worker \d has run ill \(1 rows of 1 tokens\) for 1\.\d s",
        agent.text,
    )
    assert not (tmp_path / "a.sock").exists()
    assert "Traceback" not in agent.text


def test_an_ill_agent_says_so_while_it_finishes(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """One worker hangs and the other one works: until the grace is over the probes and gRPC's health say so, the other's client is
    answered, and new calls are refused with the reason.
    """
    addresses = ("-a", f"unix://{tmp_path}/a.sock", "-a", "grpc://127.0.0.1:0")
    agent = ill_agent(spawn_agent, tmp_path, *addresses, "--grace-s", "8", limit=2.5)
    runs = Runs(agent)
    hung = runs.start(HANG)
    time.sleep(1.6)
    slow = runs.start(SLOW)
    assert isinstance(error_of(hung), Internal)
    status, text = page(agent, "/readyz")
    assert (status, text.partition(": ")[0]) == (503, "not ready")
    assert "worker 0 has run ill (1 rows of 1 tokens)" in text
    assert page(agent, "/healthz") == (503, text.replace("not ready", "not healthy"))
    with grpc.insecure_channel(agent.addresses["grpc"].removeprefix("grpc://")) as channel:
        health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=""), timeout=5)
    assert health.status == health_pb2.HealthCheckResponse.NOT_SERVING
    refused = error_of(runs.start(1))
    assert isinstance(refused, Unavailable)
    assert "the agent is ill: a run does not return: worker 0" in refused.message
    assert to_values(slow.result().outputs[0]) == [2 * SLOW]
    assert agent.process.wait(20) == 70


def test_what_runs_still_when_an_ill_agent_ends_is_not_run_elsewhere(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """A second run that hangs began too late to have reached the limit: it ends in the same error, not with its connection."""
    agent = ill_agent(spawn_agent, tmp_path, "--grace-s", "0")
    runs = Runs(agent)
    hung = runs.start(HANG)
    time.sleep(0.7)
    second = runs.start(HANG)
    assert isinstance(error_of(hung), Internal)
    assert isinstance(error_of(second), Internal)
    assert agent.process.wait(20) == 70


@pytest.mark.parametrize(("value", "kind"), [(ASSERT, Internal), (LOST, Unavailable)])
def test_a_lost_device_ends_the_agent(spawn_agent: SpawnAgent, tmp_path: Path, value: int, kind: type[RpcError]) -> None:
    """A run that may have broken the device is not run elsewhere; what waits or runs beside it may be. Exit code 71."""
    agent = ill_agent(spawn_agent, tmp_path, limit=30)
    runs = Runs(agent)
    slow = [runs.start(SLOW)]
    time.sleep(0.7)
    slow.append(runs.start(SLOW))
    broken, waiting = runs.start(value), runs.start(1)
    error = error_of(broken)
    assert [to_values(run.result().outputs[0]) for run in slow] == [[2 * SLOW]] * 2
    refused = error_of(waiting)
    assert isinstance(refused, Unavailable)
    assert "the device is lost" in refused.message
    assert type(error) is kind
    assert "the agent's device is lost: CUDA error: " in error.message
    assert agent.process.wait(20) == 71
    assert "ends with exit code 71: the device is lost: CUDA error: " in agent.text


def test_a_device_that_is_lost_while_a_model_loads(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """That is the same illness."""
    agent = ill_agent(spawn_agent, tmp_path)
    (tmp_path / "store" / "other.ill").write_text('{"load": "lost"}')
    calls = client(agent)
    session = calls.create_session()
    with pytest.raises(Unavailable, match="device is lost"):
        calls.load(session, calls.register_path(session, "other"))
    assert agent.process.wait(20) == 71


def test_a_model_that_does_not_load_ends_the_agent(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """Its clients get an error that says not to try it elsewhere, those whose models wait behind it one that says to; what runs
    is answered, and the process ends.
    """
    agent = ill_agent(spawn_agent, tmp_path, "--max-load-s", "1.5", "--grace-s", "5", limit=30)
    (tmp_path / "store" / "never.ill").write_text('{"load": "hang"}')
    (tmp_path / "store" / "other.ill").write_text("{}")
    runs = Runs(agent)
    assert runs.values(1) == [2]
    loads: list[RpcError] = []

    def load(name: str) -> None:
        calls = client(agent)
        session = calls.create_session()
        with pytest.raises(RpcError) as caught:
            calls.load(session, calls.register_path(session, name))
        loads.append(caught.value)

    with ThreadPoolExecutor(3) as threads:
        waiting = [threads.submit(load, "never"), threads.submit(load, "never")]
        time.sleep(0.3)
        waiting.append(threads.submit(load, "other"))
        time.sleep(0.6)
        slow = runs.start(SLOW)
        for each in waiting:
            each.result(20)
    assert sorted(type(error).__name__ for error in loads) == ["Internal", "Internal", "Unavailable"]
    assert all("model never (sha256:" in error.message and "(--max-load-s)" in error.message for error in loads)
    assert to_values(slow.result().outputs[0]) == [2 * SLOW]
    assert agent.process.wait(20) == 70
    assert re.search(r"ERROR .*ends with exit code 70: model never \(.*\) has been loading for 1\.\d s, longer than", agent.text)
    assert "Traceback" not in agent.text


@pytest.mark.parametrize(("load", "code"), [("hang", 70), ("lost", 71)])
def test_an_illness_before_the_agent_is_ready(spawn_agent: SpawnAgent, tmp_path: Path, load: str, code: int) -> None:
    """A model that is loaded at the start ends the agent with the same codes, and not as an option that is wrong."""
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "first.ill").write_text(json.dumps({"load": load}))
    agent = ill_agent(spawn_agent, tmp_path, "--max-load-s", "1", "--preload", "first", "--grace-s", "1", ready=False)
    assert agent.process.wait(20) == code
    assert f"ends with exit code {code}" in agent.text
    assert "Traceback" not in agent.text
    assert "never retrieved" not in agent.text


def test_a_model_that_exits_is_a_failed_run(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """Its worker goes on."""
    runs = Runs(ill_agent(spawn_agent, tmp_path))
    assert isinstance(error_of(runs.start(EXIT)), Internal)
    assert [runs.values(n) for n in range(4)] == [[2 * n] for n in range(4)]


def test_a_stopped_agent_is_not_ill(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """The time for which the whole process stood still does not count as its run's."""
    agent = ill_agent(spawn_agent, tmp_path, limit=4)
    runs = Runs(agent)
    slow = runs.start(SLOW)
    time.sleep(0.5)
    os.kill(agent.process.pid, signal.SIGSTOP)
    time.sleep(6)
    os.kill(agent.process.pid, signal.SIGCONT)
    slow.result()
    hung = runs.start(SLOW)
    assert hung.result()
    assert page(agent, "/readyz")[0] == 200


def test_an_idle_probe_finds_what_clients_would(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """Nobody sends a run after the model was loaded, and the agent ends all the same: its example, a 1, hangs."""
    agent = ill_agent(spawn_agent, tmp_path, "--idle-probe-s", "0.5")
    (tmp_path / "store" / "probed.ill").write_text(json.dumps({1: "hang"}))
    calls = client(agent)
    session = calls.create_session()
    calls.load(session, calls.register_path(session, "probed"))
    assert agent.process.wait(20) == 70
    assert "has run probed (1 rows of 1 tokens)" in agent.text


def _runs(metrics: str) -> list[str]:
    """The lines that count runs."""
    return [line for line in metrics.splitlines() if line.startswith(("vaccel_batch", "vaccel_model_run"))]


def test_an_idle_probe_is_no_clients_run(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """No metric counts it."""
    agent = ill_agent(spawn_agent, tmp_path, "--idle-probe-s", "0.5")
    assert Runs(agent).values(3) == [6]
    # What counts a batch comes after its answers.
    while "vaccel_batch_size_count 1.0" not in (text := page(agent, "/metrics")[1]):
        time.sleep(0.02)
    before = _runs(text)
    time.sleep(2.5)
    text = page(agent, "/metrics")[1]
    assert _runs(text) == before
    assert "vaccel_running_requests 0.0" in text
    assert agent.process.poll() is None
