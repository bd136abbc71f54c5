"""Processes that live as long as a ``with`` block, and requests that wait until one of them
answers.
"""

from __future__ import annotations

import compileall
import contextlib
import http.client
import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

#: The checkout, in which every process is started.
ROOT = Path(__file__).parent.parent
_READY_S = 60.0


def free_port() -> int:
    """A TCP port of the loopback address that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def compile_all(*packages: str) -> None:
    """Compiles what a function imports, and ``packages``, as in the images: no start compiles a
    module edited just before.
    """
    for package in ("function", "vaccel_common", "vaccel_rpc", *packages):
        compileall.compile_dir(ROOT / package, quiet=1)


def spawn(
    command: Sequence[str], env: Mapping[str, str], cpus: Sequence[int] = (), output: IO[Any] | None = None
) -> subprocess.Popen[bytes]:
    """Starts a command in a process group of its own; on ``cpus`` only, and with ``output`` for
    both streams, where given.
    """
    pinned = ["taskset", "-c", ",".join(map(str, cpus))] if cpus else []
    return subprocess.Popen(
        [*pinned, *command], cwd=ROOT, env={**os.environ, **env}, start_new_session=True, stdout=output, stderr=output
    )


@contextlib.contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Ends the process after the block, and with it what is left of its process group."""
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def wait_for(port: int, path: str, method: str = "GET", body: str | None = None) -> None:
    """Waits until a request is answered with 200. Raises ``TimeoutError`` after a minute."""
    end = time.monotonic() + _READY_S
    while time.monotonic() < end:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if _status(port, path, method, body, timeout=5) == 200:
                return
        time.sleep(0.05)
    raise TimeoutError(f"no 200 from port {port} {path} within {_READY_S:g} s")


def first_answer(port: int, path: str, body: str | None = None) -> float:
    """Connects to a process that is starting until it answers with 200; the moment, by
    ``time.perf_counter``.
    """
    end = time.perf_counter() + _READY_S
    while True:
        try:
            status = _status(port, path, "POST" if body else "GET", body, timeout=10)
        except (ConnectionRefusedError, ConnectionResetError):
            assert time.perf_counter() < end, f"nothing listens on port {port}"
            time.sleep(0.002)
        else:
            assert status == 200, f"port {port} {path} answered {status}"
            return time.perf_counter()


def _status(port: int, path: str, method: str, body: str | None, timeout: float) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
    return connection.getresponse().status


def get(port: int, path: str) -> str:
    """The body of the response to a GET."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path)
    return connection.getresponse().read().decode()


def raise_file_limit() -> None:
    """Raises the limit on open files to the hard one, for this process and its children."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
