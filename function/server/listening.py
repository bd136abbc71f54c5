"""The socket on which a function is reached."""

from __future__ import annotations

import socket

#: Of answers that a client has not read the system keeps so much for each connection (Linux: twice that), and not megabytes.
_UNREAD = 128 << 10


def listen(host: str, port: int) -> socket.socket:
    """A socket on which nothing is accepted yet. Raises ``OSError``."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Every connection that is accepted has it from here.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _UNREAD)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener
