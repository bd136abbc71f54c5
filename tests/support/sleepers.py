"""Agents whose one model only takes time, and ports for them."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path


def store_of(folder: Path, name: str, content: str) -> tuple[str, ...]:
    """An agent's options for a store with one model that sleeps, ``nap``."""
    store = folder / name
    store.mkdir()
    (store / "nap.sleep").write_text(content)
    return ("--plugin", "tests.support.sleepplugin", "--models", str(store), "--preload", "nap")


def free_ports(count: int) -> list[int]:
    """Ports of this machine on which nobody listens."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
