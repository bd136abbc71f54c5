"""An agent and a function as processes of their own, for as long as a measurement takes."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
_READY_S = 60.0


def free_port() -> int:
    """A TCP port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start(module: str, *options: str, **env: str) -> subprocess.Popen[bytes]:
    """Starts ``python -m module``."""
    return subprocess.Popen([sys.executable, "-m", module, *options], cwd=ROOT, env={**os.environ, **env})


@contextlib.contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Ends it at the end."""
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def agent(address: str | None = None) -> Iterator[str]:
    """An agent with the model that ships, warm; its address."""
    with tempfile.TemporaryDirectory() as folder:
        address = address or f"unix://{folder}/a.sock"
        metrics = free_port()
        options = ("-a", address, "--models", "models", "--preload", "tweets", "--log-level", "warn")
        with ended(start("agent", *options, "--metrics-address", f"127.0.0.1:{metrics}")):
            wait_for(metrics, "/readyz")
            yield address


@contextlib.contextmanager
def function(address: str) -> Iterator[int]:
    """A function on that agent, ready; its port."""
    port = free_port()
    with ended(start("function", VACCEL_RPC_ADDRESS=address, PORT=str(port), HOST="127.0.0.1")):
        wait_for(port, "/health/readiness")
        yield port


def wait_for(port: int, path: str) -> None:
    """Waits until a GET is answered with 200."""
    end = time.monotonic() + _READY_S
    while time.monotonic() < end:
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return
        time.sleep(0.05)
    raise TimeoutError(f"no 200 from port {port} {path} within {_READY_S:g} s")


def resident_mib(pid: int) -> float:
    """Resident memory of a process in MiB. Source: proc(5), VmRSS."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024
