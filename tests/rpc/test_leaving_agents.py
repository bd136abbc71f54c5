"""Agents that shut down under load: they tell their clients, which move on, and nothing is refused, lost or tried again."""

from __future__ import annotations

import re
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.support.pools import RunningClients, pool_of, ready
from tests.support.ports import free_ports
from tests.support.scriptedagent import connected, echo
from tests.support.servers import ServerProcess, SpawnAgent
from tests.support.sleepers import store_of
from vaccel_rpc import draining, frames
from vaccel_rpc.errors import Unavailable
from vaccel_rpc.proto.ttrpc_pb2 import Request
from vaccel_rpc.remote import RemoteModel
from vaccel_rpc.tensors import from_values, to_values

pytestmark = pytest.mark.timeout(180)
SCHEMES = ["unix", "tcp", "grpc", "grpc+unix"]
STOPPED = re.compile(
    r"vAccel RPC agent stopped \d+\.\d+ s after it was told to; refused calls: (none|\d+ create_session)$", re.MULTILINE
)


def listen(scheme: str, folder: Path, count: int) -> list[str]:
    """Addresses of that scheme."""
    if "unix" in scheme:
        return [f"{scheme}://{folder}/leaving{i}.sock" for i in range(count)]
    return [f"{scheme}://127.0.0.1:{port}" for port in free_ports(count)]


def leave(agent: ServerProcess) -> None:
    """Ends an agent on SIGTERM, which is sent unless it has been.

    It has refused nothing but new sessions, which over gRPC still come.
    """
    if "Shutting down" not in agent.text:
        agent.process.send_signal(signal.SIGTERM)
    assert agent.process.wait(30) == 0
    assert STOPPED.search(agent.text), agent.text


@pytest.mark.parametrize("scheme", SCHEMES)
def test_one_of_two_leaves(spawn_agent: SpawnAgent, tmp_path: Path, scheme: str) -> None:
    """Nothing fails or is run again, nothing is sent to it any more, and it ends when its last answer is sent."""
    options = store_of(tmp_path, "store", '{"seconds": 0.02}')
    addresses = listen(scheme, tmp_path, 2)
    agents = [spawn_agent("-a", address, *options) for address in addresses]
    with pool_of(*addresses) as remote, RunningClients(remote, pause=0.03) as load:
        for i in (0, 1, 0):
            time.sleep(0.5)
            leave(agents[i])
            agents[i] = spawn_agent("-a", addresses[i], *options)
            ready(remote, 2)
        figures = remote.figures()
    assert load.failures == {}
    assert figures.retries == {}
    assert figures.drains == 3
    assert len(load.latencies) > 100


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_lone_agent_is_restarted(spawn_agent: SpawnAgent, tmp_path: Path, scheme: str) -> None:
    """Runs that come meanwhile wait for the next one; none is refused or run again."""
    options = store_of(tmp_path, "store", '{"seconds": 0.02}')
    (address,) = listen(scheme, tmp_path, 1)
    agent = spawn_agent("-a", address, *options)
    with pool_of(address) as remote, RunningClients(remote, timeout=20, pause=0.03) as load:
        for _ in range(2):
            time.sleep(0.5)
            leave(agent)
            agent = spawn_agent("-a", address, *options)
            ready(remote, 1)
        figures = remote.figures()
    assert load.failures == {}
    assert figures.retries == {}
    assert figures.drains == 2


@pytest.mark.parametrize("scheme", ["unix", "grpc"])
def test_idle_clients_leave_at_once(
    spawn_agent: SpawnAgent, tmp_path: Path, scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An agent whose clients have no calls ends within a moment; their log says once that it left, and warns of nothing."""
    caplog.set_level("INFO")
    options = store_of(tmp_path, "store", '{"seconds": 0.02}')
    addresses = listen(scheme, tmp_path, 2)
    agents = [spawn_agent("-a", address, *options) for address in addresses]
    with pool_of(*addresses), pool_of(*addresses):
        caplog.clear()
        leave(agents[0])
        time.sleep(0.5)
    assert "Shutting down: 2 clients told, waiting for 0 calls in 0 sessions" in agents[0].text
    leaving = [record for record in caplog.records if addresses[0] in record.getMessage()]
    assert [record.levelname for record in leaving] == ["INFO", "INFO"]
    assert all("leaving the agent after" in record.getMessage() for record in leaving)


@pytest.mark.parametrize("scheme", ["tcp", "grpc"])
def test_what_it_took_is_awaited_there(spawn_agent: SpawnAgent, tmp_path: Path, scheme: str) -> None:
    """A long run keeps its link; meanwhile the state says so, and what comes next runs on the other agent."""
    slow, quick = store_of(tmp_path, "slow", '{"seconds": 2}'), store_of(tmp_path, "quick", '{"seconds": 0.01}')
    first, second = listen(scheme, tmp_path, 2)
    leaves = spawn_agent("-a", first, *slow)
    spawn_agent("-a", second, *quick)
    answers: list[object] = []

    def run(remote: RemoteModel, number: int) -> None:
        answers.append(to_values(remote.run([from_values("int64", (1,), [number])], 1, 20)[0]))

    with pool_of(f"{first};prefer", second) as remote:
        caller = threading.Thread(target=run, args=(remote, 1))
        caller.start()
        time.sleep(0.3)
        leaves.process.send_signal(signal.SIGTERM)
        while (state := remote.agents()[0].state) == "ready":
            time.sleep(0.01)
        assert state == "draining"
        for number in range(2, 6):
            run(remote, number)
        assert answers == [[4], [6], [8], [10]]
        assert leaves.process.poll() is None
        caller.join()
        assert answers[-1] == [2]
        leave(leaves)


def test_a_session_is_refused_while_it_shuts_down(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """Over gRPC a new client can still connect: it is told so, and tries again elsewhere or later."""
    (address,) = listen("grpc", tmp_path, 1)
    agent = spawn_agent("-a", address, *store_of(tmp_path, "store", '{"seconds": 2}'))
    with pool_of(address) as remote:
        caller = threading.Thread(target=remote.run, args=([from_values("int64", (1,), [1])], 1, 20))
        caller.start()
        time.sleep(0.3)
        agent.process.send_signal(signal.SIGTERM)
        agent.wait_for("Shutting down: 1 clients told, waiting for 1 calls in 1 sessions")
        with (
            pool_of(address, count=0) as late,
            pytest.raises(Unavailable, match="the agent is shutting down; the call was not taken"),
        ):
            late.connect(5)
        caller.join()
    assert agent.process.wait(30) == 0


def test_other_requests_of_an_agent_mean_nothing(tmp_path: Path) -> None:
    """Calls go on whatever an agent asks on whatever stream; only the message says that it shuts down."""
    with connected(tmp_path, echo) as ends:
        ends.peer.accepted.wait(5)
        others = [
            frames.encode(
                2, frames.REQUEST, 0, Request(service="vaccel.extension.ClientService", method="Other").SerializeToString()
            ),
            frames.encode(1, frames.REQUEST, 0, b"\xff"),
            frames.encode(4, frames.REQUEST, frames.NO_DATA, b""),
            frames.encode(2, frames.REQUEST, 0, bytes(2 << 20)),
        ]
        for other in others:
            ends.peer.sock.sendall(other)
            reply = ends.channel.start("s", "m", [b"x"], 5)
            assert bytes(reply.result()) == b"x"
        assert not ends.channel.draining
        assert not ends.lost.is_set()
        ends.peer.sock.sendall(draining.FRAME * 2)
        assert ends.lost.wait(5)
        assert ends.channel.draining
        assert ends.channel.closed is None
        assert bytes(ends.channel.start("s", "m", [b"y"], 5).result()) == b"y"
