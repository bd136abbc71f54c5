"""The function as a process, and requests to it."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

from tests.support.servers import ServerProcess, spawn

LABELS = ["hate-speech", "offensive-language", "neither"]


def start(folder: Path, address: str, **env: str) -> ServerProcess:
    """Starts a function that uses the agent at ``address``, with ``env`` as its further environment; it listens on return."""
    server = spawn(
        folder / "function.log", "function", env={"VACCEL_RPC_ADDRESS": address, "PORT": "0", "HOST": "127.0.0.1", **env}
    )
    server.addresses["http"] = server.wait_for(r"Listening on (http://[^\s\"]+)")[1]
    return server


@contextlib.contextmanager
def function_of(folder: Path, address: str, **env: str) -> Iterator[ServerProcess]:
    """A function for the agent at an address; it ends with 0 and without a traceback."""
    server = start(folder, address, **env)
    try:
        yield server
    finally:
        code = server.stop()
    assert code == 0, server.text
    assert "Traceback" not in server.text


def wait_until_ready(server: ServerProcess, seconds: float = 20) -> None:
    """Waits until the function says that it is ready, which needs its agent."""
    end = time.monotonic() + seconds
    while requests.get(server.addresses["http"] + "/health/readiness", timeout=5).status_code != 200:
        assert time.monotonic() < end, server.text
        time.sleep(0.02)


def post(
    server: ServerProcess, body: str | bytes | dict[str, Any], kind: str = "application/json", path: str = "/classify"
) -> requests.Response:
    """Posts a body, a dict as JSON, to ``/classify`` or another path."""
    data = json.dumps(body) if isinstance(body, dict) else body
    return requests.post(server.addresses["http"] + path, data=data, headers={"Content-Type": kind}, timeout=30)
