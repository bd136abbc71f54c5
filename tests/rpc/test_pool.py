"""A pool of real agents: what their clients see of an agent's end, freeze, overload or slowness, which is nothing."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import pytest

from tests.support.pools import RunningClients, pool_of, ready
from tests.support.ports import free_ports
from tests.support.servers import ServerProcess, SpawnAgent
from tests.support.sleepers import store_of
from vaccel_rpc.errors import ResourceExhausted, RpcError
from vaccel_rpc.pool.health import ANSWER_S, OVERDUE_S
from vaccel_rpc.pool.targets import parse_targets
from vaccel_rpc.registering import ModelSource
from vaccel_rpc.remote import RemoteModel
from vaccel_rpc.tensors import from_values, to_values

pytestmark = pytest.mark.timeout(180)

#: Seconds between the runs of one client, so that agents that start have a core.
PAUSE_S = 0.03


@pytest.fixture
def agents(
    spawn_agent: SpawnAgent, tmp_path: Path, request: pytest.FixtureRequest
) -> list[tuple[str, tuple[str, ...], ServerProcess]]:
    """Two agents of 40 ms a run, so that some are always under way: each one's address, its options, its process."""
    scheme = getattr(request, "param", "tcp")
    options = store_of(tmp_path, "store", '{"seconds": 0.04}')
    places = (
        [f"{tmp_path}/pool{i}.sock" for i in range(2)] if "unix" in scheme else [f"127.0.0.1:{port}" for port in free_ports(2)]
    )
    started = []
    for place in places:
        listen = ("-a", f"{scheme}://{place}", *options)
        started.append((f"{scheme}://{place}", listen, spawn_agent(*listen)))
    return started


@pytest.mark.parametrize("agents", ["tcp", "unix", "grpc", "grpc+unix"], indirect=True)
@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGTERM])
def test_an_agents_end_costs_nothing(
    agents: list[tuple[str, tuple[str, ...], ServerProcess]], spawn_agent: SpawnAgent, sig: signal.Signals
) -> None:
    """Of two, each ends and is started again, one at a time: every run is answered, and rightly."""
    with pool_of(*(address for address, _, _ in agents)) as remote, RunningClients(remote, pause=PAUSE_S) as load:
        for _, listen, process in agents:
            time.sleep(0.5)
            process.stop(sig)
            time.sleep(0.5)
            spawn_agent(*listen)
            ready(remote, 2)
        time.sleep(0.3)
    assert load.failures == {}
    assert len(load.latencies) > 100


@pytest.mark.parametrize("agents", ["tcp", "grpc"], indirect=True)
def test_a_frozen_agent_is_left_out(agents: list[tuple[str, tuple[str, ...], ServerProcess]]) -> None:
    """No run fails though one agent of two stands still for longer than a run may take, and none waits much longer than the
    limit for suspicion. When it goes on, it is used again.
    """
    frozen = agents[0][2].process.pid
    with pool_of(*(address for address, _, _ in agents)) as remote, RunningClients(remote, pause=PAUSE_S) as load:
        time.sleep(0.5)
        os.kill(frozen, signal.SIGSTOP)
        try:
            time.sleep(7)
        finally:
            os.kill(frozen, signal.SIGCONT)
        ready(remote, 2)
    assert load.failures == {}
    assert max(load.latencies) < OVERDUE_S + ANSWER_S + 2


def test_a_lone_agent_that_freezes_keeps_its_runs(agents: list[tuple[str, tuple[str, ...], ServerProcess]]) -> None:
    """There is no other: its state says that it is suspect, the run waits, and is answered when the agent goes on."""
    address, _, process = agents[0]
    with pool_of(address) as remote:
        os.kill(process.process.pid, signal.SIGSTOP)
        answers: list[list[Any]] = []
        caller = threading.Thread(target=lambda: answers.append(remote.run([from_values("int64", (1,), [4])], 1, 20)))
        try:
            caller.start()
            until(lambda: remote.agents()[0].state == "suspect")
        finally:
            os.kill(process.process.pid, signal.SIGCONT)
        caller.join()
        assert to_values(answers[0][0]) == [8]
        until(lambda: remote.agents()[0].state == "ready")


def test_what_one_agent_has_no_room_for_runs_on_another(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """A full queue is no error while another agent has room; where none has, its answer is the caller's."""
    options = store_of(tmp_path, "store", '{"seconds": 0.3}')
    small = spawn_agent(*options, "--max-queue", "1").addresses["unix"]
    large = spawn_agent(*options).addresses["unix"]
    inputs = [[from_values("int64", (1,), [i])] for i in range(40)]
    with pool_of(small, large) as remote:
        outputs = remote.run_all(inputs, 1, 30)
        assert [to_values(output) for (output,) in outputs] == [[2 * i] for i in range(40)]
        assert remote.runs.retries["RESOURCE_EXHAUSTED"] > 0
    with pool_of(small) as remote, pytest.raises(ResourceExhausted, match="--max-queue"):
        remote.run_all(inputs, 1, 30)


def test_a_slow_agent_gets_less(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """Four times slower: about a fifth of the work, by itself."""
    quick = spawn_agent(*store_of(tmp_path, "quick", '{"seconds": 0.05}'), "--metrics-address", "127.0.0.1:0")
    slow = spawn_agent(*store_of(tmp_path, "slow", '{"seconds": 0.2}'), "--metrics-address", "127.0.0.1:0")
    with pool_of(quick.addresses["unix"], slow.addresses["unix"]) as remote:
        with RunningClients(remote):
            time.sleep(6)
        loads = {member.endpoint.address.path: member.load.answered for member in remote.members}
    share = loads[slow.addresses["unix"].removeprefix("unix://")] / sum(loads.values())
    assert 0.1 < share < 0.3


def test_names_that_come_and_go(
    spawn_agent: SpawnAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A name's agents join when it has records of them, and leave with these: nothing of them stays, no thread either. A look-up
    that fails changes nothing.
    """
    options = store_of(tmp_path, "store", '{"seconds": 0.005}')
    (port,) = free_ports(1)
    hosts = [f"127.0.0.{i}" for i in range(2, 5)]
    for host in hosts:
        spawn_agent("-a", f"tcp://{host}:{port}", *options)
    records: list[str] | OSError = hosts[:1]

    def getaddrinfo(host: str, port: int | None, **_: object) -> list[tuple[Any, ...]]:
        if isinstance(records, OSError) and host == "agents":
            raise records
        found = records if host == "agents" and not isinstance(records, OSError) else [host]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port or 0)) for each in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr("vaccel_rpc.pool.discovery._PERIOD_S", 0.1)
    remote = RemoteModel(parse_targets(f"tcp://agents:{port}"), ModelSource("nap"), agent_wait=5)
    remote.start()
    with contextlib.closing(remote), RunningClients(remote, pause=PAUSE_S) as load:
        ready(remote, 1)
        records = hosts
        ready(remote, 3)
        records = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        time.sleep(0.5)
        assert sum(agent.state == "ready" for agent in remote.agents()) == 3
        assert caplog.text.count("the 3 agents that it had stay: Temporary failure in name resolution; looking it up again") == 1
        left = [weakref.ref(member) for member in remote.members if hosts[2] not in str(member.endpoint)]
        records = hosts[2:]
        ready(remote, 1)
        assert [agent.address for agent in remote.agents()] == [f"tcp://{hosts[2]}:{port} (agents)"]
        until(lambda: gc.collect() >= 0 and all(member() is None for member in left))
        until(lambda: not any(f"{host}:{port}" in thread.name for host in hosts[:2] for thread in threading.enumerate()))
    assert len(left) == 2
    assert load.failures == {}
    assert len(load.latencies) > 50


def test_a_name_without_records_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its state has the name and the reason, and a run's error, too."""

    def getaddrinfo(*_: object, **__: object) -> list[tuple[Any, ...]]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    remote = RemoteModel(parse_targets("tcp://nowhere:1"), ModelSource("nap"))
    with contextlib.closing(remote):
        with pytest.raises(RpcError, match=r"^tcp://nowhere:1: Name or service not known$"):
            remote.connect(10)
        assert [(agent.address, agent.state, agent.reason) for agent in remote.agents()] == [
            ("tcp://nowhere:1", "failed", "Name or service not known")
        ]


def until(condition: Any) -> None:
    """Returns when it holds."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
