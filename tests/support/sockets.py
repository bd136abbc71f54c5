"""HTTP by hand, on a socket."""

from __future__ import annotations

import socket

from tests.support.servers import ServerProcess


def connect(server: ServerProcess) -> socket.socket:
    """A connection to its HTTP address."""
    host, port = server.addresses["http"].removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def answers(client: socket.socket, count: int = 1) -> list[tuple[int, dict[str, str], bytes]]:
    """Status, headers (lower case) and body of the next answers on a connection."""
    responses = []
    file = client.makefile("rb")
    for _ in range(count):
        status = int(file.readline().split()[1])
        headers = {}
        while (line := file.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        responses.append((status, headers, file.read(int(headers.get("content-length", 0)))))
    return responses
