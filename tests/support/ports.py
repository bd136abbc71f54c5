"""TCP ports for programs that are started, and started again, at an address of the test's choice."""

from __future__ import annotations

import os
import random
import socket
from functools import cache

#: Below the ports that Linux gives to outgoing connections and to listeners that let it choose (``ip_local_port_range``, from
#: 32768): one of those would be taken by another test while its program is away.
_FIRST, _END = 20_000, 32_768
#: Most processes that run tests at the same time; each has ports of its own.
_WORKERS = 32


def free_ports(count: int) -> list[int]:
    """Ports of this machine on which nobody listens, and which nobody else gets."""
    return [_next_free() for _ in range(count)]


def _next_free() -> int:
    ports = _unused()
    while ports:
        port = ports.pop()
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError(f"all ports from {_FIRST} to {_END - 1} of this process have been used")


@cache
def _unused() -> list[int]:
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    ports = [*range(_FIRST + worker % _WORKERS, _END, _WORKERS)]
    # Not in order: another run of the tests on this machine would begin with the same ones.
    random.Random(os.getpid()).shuffle(ports)
    return ports
