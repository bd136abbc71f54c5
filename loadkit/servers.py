"""An agent, and a function on it, as processes that live as long as a ``with`` block.

They are ready when it begins.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from loadkit.processes import ended, free_port, spawn, wait_for


@dataclass(frozen=True)
class AgentProcess:
    """A running agent: the first of its addresses, and the port of its metrics."""

    address: str
    metrics: int
    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid


@dataclass(frozen=True)
class FunctionProcess:
    """A running function and the port of its HTTP server."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid


@contextlib.contextmanager
def agent(
    address: str = "unix://",
    options: Sequence[str] = (),
    cpus: Sequence[int] = (),
    *,
    models: str = "models",
    preload: str = "tweets",
) -> Iterator[AgentProcess]:
    """An agent with a model loaded; ``unix://`` without a path becomes a socket in a folder of its
    own.
    """
    with tempfile.TemporaryDirectory() as folder:
        address = f"{address}{folder}/a.sock" if address.endswith("unix://") else address
        metrics = free_port()
        arguments = ["-a", address, "--models", models, "--preload", preload, "--log-level", "warn", *options]
        arguments += ["--metrics-address", f"127.0.0.1:{metrics}"]
        with ended(spawn([sys.executable, "-m", "agent", *arguments], {}, cpus)) as process:
            wait_for(metrics, "/readyz")
            yield AgentProcess(address, metrics, process)


@contextlib.contextmanager
def function(
    address: str,
    env: Mapping[str, str] | None = None,
    *,
    cpus: Sequence[int] = (),
    wrapper: Sequence[str] = (),
    output: IO[Any] | None = None,
) -> Iterator[FunctionProcess]:
    """A function on the agent at ``address``, with the variables ``env``; ``wrapper``: a command
    that runs its own arguments.
    """
    port = free_port()
    command = [*wrapper, sys.executable, "-m", "function"]
    with ended(spawn(command, function_settings(address, port, env), cpus, output)) as process:
        wait_for(port, "/health/readiness")
        yield FunctionProcess(port, process)


def function_settings(address: str, port: int, env: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables of a function on the agent at ``address`` that serves the loopback address and
    logs errors alone.
    """
    return {"VACCEL_RPC_ADDRESS": address, "PORT": str(port), "HOST": "127.0.0.1", "LOG_LEVEL": "error", **(env or {})}


def free_address(scheme: str) -> str:
    """An address that no agent has; of a unix socket the scheme alone, which `agent` completes."""
    return f"{scheme}://" if scheme.endswith("unix") else f"{scheme}://127.0.0.1:{free_port()}"
