"""Holds idle sessions on idle connections:
``python -m benchmarks.idle ADDRESS CONNECTIONS SESSIONS``.

It ends when its standard input does.
"""

from __future__ import annotations

import sys

from vaccel_rpc.addresses import parse
from vaccel_rpc.channels import connect
from vaccel_rpc.client import VaccelClient


def main() -> None:
    """Prints ``ready`` when the sessions are open."""
    address, connections, sessions = parse(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    clients = [VaccelClient(connect(address, 10)) for _ in range(connections)]
    for number in range(sessions):
        clients[number % connections].create_session(timeout=10)
    print("ready", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
