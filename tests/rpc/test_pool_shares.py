"""How a pool divides the work among real agents that come one after the other."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.support.pools import RunningClients, pool_of, ready
from tests.support.ports import free_ports
from tests.support.servers import SpawnAgent
from tests.support.sleepers import store_of
from vaccel_rpc.remote import RemoteModel

pytestmark = pytest.mark.timeout(180)

#: Seconds until what the pool knew before counts little, and those in which shares are counted.
SETTLE_S, COUNT_S = 2.0, 5.0


def shares(remote: RemoteModel) -> list[float]:
    """Each agent's part of the runs of some seconds, from the smallest to the largest."""
    time.sleep(SETTLE_S)
    before = remote.figures().runs
    time.sleep(COUNT_S)
    ran = [count - before.get(agent, 0) for agent, count in remote.figures().runs.items()]
    return sorted(count / sum(ran) for count in ran)


@pytest.mark.parametrize("scheme", ["tcp", "grpc+unix"])
def test_agents_that_come_later_get_as_much(spawn_agent: SpawnAgent, tmp_path: Path, scheme: str) -> None:
    """Of one agent under load become four: soon their shares are within 15 % of each other, and nothing fails."""
    options = store_of(tmp_path, "store", '{"seconds": 0.02}')
    places = [f"{tmp_path}/{i}.sock" for i in range(4)] if "unix" in scheme else [f"127.0.0.1:{port}" for port in free_ports(4)]
    addresses = [f"{scheme}://{place}" for place in places]
    spawn_agent("-a", addresses[0], *options)
    with pool_of(*addresses, count=1) as remote, RunningClients(remote) as load:
        time.sleep(0.5)
        for address in addresses[1:]:
            spawn_agent("-a", address, *options)
        ready(remote, 4)
        smallest, *_, largest = shares(remote)
    assert load.failures == {}
    assert largest <= 1.15 * smallest
