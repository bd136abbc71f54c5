"""A pool of real agents whose model sleeps, and clients that use it."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from tests.support.loops import ClientLoops
from vaccel_rpc.errors import RpcError
from vaccel_rpc.pool.targets import parse_targets
from vaccel_rpc.registering import ModelSource
from vaccel_rpc.remote import RemoteModel
from vaccel_rpc.tensors import from_values, to_values

CLIENTS = 16


class RunningClients(ClientLoops):
    """Clients that run texts of random length one after the other, with ``pause`` seconds between them, and check each answer."""

    def __init__(self, remote: RemoteModel, clients: int = CLIENTS, timeout: float = 5.0, *, pause: float = 0) -> None:
        super().__init__(clients, self._run, pause=pause)
        self._remote, self._timeout = remote, timeout
        self.latencies: list[float] = []
        self.failures: Counter[str] = Counter()

    def _run(self, number: int) -> None:
        values = [number, *range(number % 7)]
        began = time.monotonic()
        try:
            (output,) = self._remote.run([from_values("int64", (len(values),), values)], 1, self._timeout)
        except RpcError as error:
            self.failures[f"{error.name}: {error.message}"] += 1
            return
        self.latencies.append(time.monotonic() - began)
        if to_values(output) != [2 * value for value in values]:
            self.failures["wrong answer"] += 1


@contextlib.contextmanager
def pool_of(*addresses: str, count: int | None = None, **options: Any) -> Iterator[RemoteModel]:
    """The model on these agents, ``count`` of them, by default all, connected."""
    remote = RemoteModel(parse_targets(",".join(addresses)), ModelSource("nap"), agent_wait=10, **options)
    remote.start()
    try:
        ready(remote, len(addresses) if count is None else count)
        yield remote
    finally:
        remote.close()


def ready(remote: RemoteModel, count: int) -> None:
    """Returns when so many agents are ready and have the model in memory."""
    end = time.monotonic() + 60
    while sum(member.state.state == "ready" and member.warm for member in remote.members) != count:
        assert time.monotonic() < end, remote.agents()
        time.sleep(0.01)
