"""The listening socket of a function."""

from __future__ import annotations

import socket

#: Bytes of unread responses that the system buffers for each connection (Linux: twice that); its default may be megabytes.
_SEND_BUFFER = 128 << 10


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to ``host`` and ``port`` (0: any free one), not listening yet. Raises ``OSError``."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted connections inherit it.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener
