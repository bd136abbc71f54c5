"""What a load is put on: the function on its agent, by each kind of address; peers have the same shape."""

from __future__ import annotations

import contextlib
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from loadkit.processes import ended, free_port, spawn, wait_for

#: How the function reaches its agent.
SCHEMES = ("unix", "tcp", "grpc")


@dataclass(frozen=True)
class Running:
    """Where requests go, and whose time and memory it is: name -> processes."""

    ports: tuple[int, ...]
    path: str
    pids: Mapping[str, Sequence[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Target:
    """Something to be measured; ``run()`` starts it and ends it. ``about``: its settings. ``several``: takes many texts in a request."""

    name: str
    run: Callable[[], AbstractContextManager[Running]]
    several: bool = True
    about: str = ""


def ours(scheme: str, options: str = "") -> Target:
    """The function and an agent, with more ``options`` for the agent."""
    name = f"function, {scheme}" + (f" {options}" if options else "")
    return Target(name, lambda: pair(scheme, shlex.split(options)))


@contextlib.contextmanager
def pair(scheme: str = "unix", options: Sequence[str] = (), cpus: Sequence[int] = (), **env: str) -> Iterator[Running]:
    """An agent and a function on it, ready."""
    with agent(address(scheme), options, cpus) as (place, pid):
        port = free_port()
        settings = {"VACCEL_RPC_ADDRESS": place, "PORT": str(port), "HOST": "127.0.0.1", "LOG_LEVEL": "error", **env}
        with ended(spawn([sys.executable, "-m", "function"], settings, cpus)) as process:
            wait_for(port, "/health/readiness")
            yield Running((port,), "/classify", {"function": [process.pid], "agent": [pid]})


@contextlib.contextmanager
def agent(
    place: str, options: Sequence[str] = (), cpus: Sequence[int] = (), models: str = "models", preload: str = "tweets"
) -> Iterator[tuple[str, int]]:
    """An agent, warm: its address and process; a unix address without a path gets one."""
    with tempfile.TemporaryDirectory() as folder:
        place = place + f"{folder}/a.sock" if place.endswith("unix://") else place
        metrics = free_port()
        given = ["-a", place, "--models", models, "--preload", preload, "--log-level", "warn", *options]
        given += ["--metrics-address", f"127.0.0.1:{metrics}"]
        with ended(spawn([sys.executable, "-m", "agent", *given], {}, cpus)) as process:
            wait_for(metrics, "/readyz")
            yield place, process.pid


def address(scheme: str) -> str:
    """A new address; of a unix socket only the scheme."""
    return f"{scheme}://" if scheme.endswith("unix") else f"{scheme}://127.0.0.1:{free_port()}"
