"""The listening socket of a function."""

from __future__ import annotations

import errno
import socket

from vaccel_common.options import ConfigError

#: Bytes of unread responses that the system buffers for each connection (Linux: twice that); its default may be megabytes.
_SEND_BUFFER = 128 << 10

#: What the system says of an address that is not this machine's, or of a kind that it does not have.
_NO_ADDRESS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


class CannotListen(ConfigError):
    """The function cannot listen where its settings say."""

    def __init__(self, host: str, port: int, variable: str, error: OSError | UnicodeError) -> None:
        # A name that no resolver would take is refused before one is asked.
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else "not a host name"
        wrong_host = isinstance(error, socket.gaierror | UnicodeError) or error.errno in _NO_ADDRESS
        right = "set HOST to an address of this machine" if wrong_host else f"set {variable} to another one"
        super().__init__(f"cannot listen on {shown(host, port)}: {reason}; {right}")


def shown(host: str, port: int) -> str:
    """Host and port as a URL has them: an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to ``host`` and ``port`` (0: any free one), not listening yet. Raises ``OSError``, ``UnicodeError``."""
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
