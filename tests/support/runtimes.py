"""The runtimes that the function runs under, each started as a process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import requests

from tests.support.optional import environment_python
from tests.support.paths import ROOT
from tests.support.ports import free_ports
from tests.support.servers import ServerProcess


def parliament(folder: str, port: int) -> str:
    """It has no option for its port, and 8080 may be taken here: its own way of starting, with another number."""
    return (
        "import signal\nfrom parliament import server, __main__ as runtime\n"
        "signal.signal(signal.SIGTERM, runtime.receive_signal)\n"
        f"runtime.serve(server.create(server.load('{folder}')), host='127.0.0.1', port={port})"
    )


def command_of(runtime: str, port: int) -> list[str]:
    """The command line that serves the function under a runtime; skips the test where its environment is missing."""
    if runtime == "func":
        program = "from func_python.http import serve\nfrom function import new\nserve(new)"
        return [environment_python(runtime), "-c", program]
    if runtime == "parliament":
        return [environment_python(runtime), "-c", parliament("function", port)]
    return [sys.executable, "-m", "function"]


def start(runtime: str, folder: Path, agent: str, before: Sequence[str] = (), **more: str) -> ServerProcess:
    """Starts the function under a runtime, for the agent at that address; it is ready on return. ``before`` goes before its command."""
    (port,) = free_ports(1)
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "VACCEL_RPC_ADDRESS": agent, "MAX_BODY": "100000"}
    env |= {"PORT": str(port), "HOST": "127.0.0.1", "LISTEN_ADDRESS": f"127.0.0.1:{port}", **more}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*before, *command_of(runtime, port)], cwd=ROOT, env=env, stdout=log, stderr=log)
    server = ServerProcess(process, folder / "log", {"http": f"http://127.0.0.1:{port}"})
    end = time.monotonic() + 30
    while not ready(server):
        assert process.poll() is None, server.text
        assert time.monotonic() < end, server.text
        time.sleep(0.05)
    return server


def ready(server: ServerProcess) -> bool:
    """Whether it answers and says that it is ready."""
    try:
        # Parliament's own readiness is always 200: the page says it too.
        return bool(
            requests.get(server.addresses["http"] + "/", headers={"Accept": "application/json"}, timeout=5).json()["ready"]
        )
    except (requests.ConnectionError, ValueError):
        return False
