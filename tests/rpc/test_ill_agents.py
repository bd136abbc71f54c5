"""A pool whose agents fall ill: a run that makes one ill is not sent to the next, and nobody else notices."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.support.loops import ClientLoops
from tests.support.servers import ServerProcess, SpawnAgent
from vaccel_rpc.errors import Internal, RpcError
from vaccel_rpc.pool.targets import parse_targets
from vaccel_rpc.registering import ModelSource
from vaccel_rpc.remote import RemoteModel
from vaccel_rpc.tensors import from_values, to_values

HANG, ASSERT = 13, 14


@pytest.fixture
def agents(spawn_agent: SpawnAgent, tmp_path: Path) -> dict[str, ServerProcess]:
    """Two agents of two workers, by address."""
    store = tmp_path / "store"
    store.mkdir()
    (store / "ill.ill").write_text(json.dumps({HANG: "hang", ASSERT: "assert"}))
    addresses = [f"unix://{tmp_path}/a{i}.sock" for i in range(2)]
    options = (
        *("--plugin", "tests.support.illplugin", "--models", str(store), "--preload", "ill"),
        *("--max-run-s", "1", "--grace-s", "3"),
    )
    return {address: spawn_agent("-a", address, *options) for address in addresses}


class DoublingClients(ClientLoops):
    """Eight clients that run one text after the other, and check each answer."""

    def __init__(self, remote: RemoteModel) -> None:
        super().__init__(8, self._run, pause=0.005)
        self._remote = remote
        self.answers, self.failures = 0, Counter[str]()

    def _run(self, number: int) -> None:
        try:
            (output,) = run(self._remote, 100 + number)
        except RpcError as error:
            self.failures[f"{error.name}: {error.message}"] += 1
        else:
            self.answers += 1
            if output != 2 * (100 + number):
                self.failures["wrong"] += 1


def run(remote: RemoteModel, value: int) -> list[int]:
    """The values of one run's output."""
    (output,) = remote.run([from_values("int64", (1,), [value])], 1, 20)
    return [int(each) for each in to_values(output)]


@pytest.mark.parametrize(("value", "count", "code"), [(HANG, 2, 70), (HANG, 1, 70), (ASSERT, 1, 71)])
def test_what_makes_an_agent_ill_is_not_sent_to_the_next(
    agents: dict[str, ServerProcess], value: int, count: int, code: int
) -> None:
    """Its client gets the documented error; everything else is answered by the other agent, which stays well."""
    remote = RemoteModel(parse_targets(",".join(agents)), ModelSource("ill"), agent_wait=5)
    remote.start()
    first = next(iter(agents))
    alone = RemoteModel(parse_targets(first), ModelSource("ill"), agent_wait=5)
    try:
        while sum(state.state == "ready" for state in remote.agents()) != 2:
            time.sleep(0.02)
        with DoublingClients(remote) as clients:
            time.sleep(0.5)
            errors: list[RpcError] = []
            callers = [threading.Thread(target=lambda: errors.append(error_of(alone, value))) for _ in range(count)]
            for caller in callers:
                caller.start()
            for caller in callers:
                caller.join()
            assert agents[first].process.wait(20) == code
            before = clients.answers
            time.sleep(1.5)
            assert clients.answers > before
        assert clients.failures == {}
        assert [type(error) for error in errors] == [Internal] * count
        assert [agent.process.poll() for agent in agents.values()] == [code, None]
        assert run(remote, 1) == [2]
    finally:
        remote.close()
        alone.close()


def error_of(remote: RemoteModel, value: int) -> RpcError:
    """The error of a run."""
    with pytest.raises(RpcError) as caught:
        run(remote, value)
    return caught.value


def test_a_pool_sends_such_a_run_once(agents: dict[str, ServerProcess]) -> None:
    """Of two agents one is ended by it, and the other one is not."""
    remote = RemoteModel(parse_targets(",".join(agents)), ModelSource("ill"), agent_wait=5)
    try:
        assert isinstance(error_of(remote, HANG), Internal)
        end = time.monotonic() + 20
        while all(agent.process.poll() is None for agent in agents.values()):
            assert time.monotonic() < end
            time.sleep(0.05)
        time.sleep(2)
        assert sorted((agent.process.poll() or 0) for agent in agents.values()) == [0, 70]
        assert [run(remote, n) for n in range(3)] == [[2 * n] for n in range(3)]
    finally:
        remote.close()
