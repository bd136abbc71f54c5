"""What a load is put on: the function on its agent, by each kind of address; other model servers
have the same shape.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from loadkit import servers

#: How the function reaches its agent.
SCHEMES = ("unix", "tcp", "grpc")


@dataclass(frozen=True)
class Running:
    """The ports and the path that take requests, and whose CPU time and memory is measured: name ->
    processes.
    """

    ports: tuple[int, ...]
    path: str
    pids: Mapping[str, Sequence[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class BenchmarkTarget:
    """A server to measure, which ``run()`` starts and ends; ``about``: its settings.

    ``peer``: for another model server, what it computes in, `benchmarks.peers.settings.Numbers`;
    ``alone``: it is measured with one client alone.
    """

    name: str
    run: Callable[[], AbstractContextManager[Running]]
    about: str = ""
    peer: str = ""
    alone: bool = False


def ours(scheme: str, options: str = "") -> BenchmarkTarget:
    """The function and an agent, which gets ``options`` besides its own."""
    name = f"function, {scheme}" + (f" {options}" if options else "")
    return BenchmarkTarget(name, lambda: pair(scheme, shlex.split(options)))


@contextlib.contextmanager
def pair(scheme: str = "unix", options: Sequence[str] = (), cpus: Sequence[int] = (), **env: str) -> Iterator[Running]:
    """An agent and a function on it, ready."""
    with (
        servers.agent(servers.free_address(scheme), options, cpus) as agent,
        servers.function(agent.address, env, cpus=cpus) as function,
    ):
        yield Running((function.port,), "/classify", {"function": [function.pid], "agent": [agent.pid]})
