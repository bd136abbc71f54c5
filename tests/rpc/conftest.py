"""Fixtures of the tests of the RPC."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.peers.raw_ttrpc import RawClient
from tests.support.servers import ServerProcess


@pytest.fixture
def client(agent: ServerProcess) -> Iterator[RawClient]:
    """A client of raw bytes with a connection of its own to the agent of the run, which takes uploads."""
    with RawClient(agent.addresses["unix"]) as connection:
        yield connection
