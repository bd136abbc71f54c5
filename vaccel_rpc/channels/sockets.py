"""The blocking socket of a ttrpc channel: its limits, and whether the kernel waits in it."""

from __future__ import annotations

import _socket
import select
import socket
import struct

from vaccel_rpc.addresses import Address, no_delay, ttrpc_socket
from vaccel_rpc.errors import Unavailable

#: Seconds without progress after which a send, or an unanswered TCP segment, means that the peer is
#: gone.
STALL_S = 30
#: Seconds after which a caller that reads looks at its deadline again, at the latest.
TICK_S = 1.0


def connected(address: Address, timeout: float) -> socket.socket:
    """A socket that is connected to an agent. Raises `Unavailable`."""
    try:
        sock, place = ttrpc_socket(address)
        sock.settimeout(timeout)
        try:
            sock.connect(place)
            sock.settimeout(None)
            _notice_a_dead_peer(sock)
        except BaseException:
            sock.close()
            raise
    except TimeoutError:
        raise Unavailable(f"no agent answered within {timeout:g} s", at=address) from None
    except (OSError, OverflowError) as error:
        raise Unavailable(_reason(error), at=address) from None
    return sock


def _reason(error: OSError | OverflowError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _notice_a_dead_peer(sock: socket.socket) -> None:
    no_delay(sock)
    limit(sock, socket.SO_SNDTIMEO, STALL_S)
    limit(sock, socket.SO_RCVTIMEO, TICK_S)
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in ((socket.TCP_KEEPIDLE, 10), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3)):
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALL_S * 1000)


def limit(sock: socket.socket, option: int, seconds: float) -> None:
    """Sets SO_RCVTIMEO or SO_SNDTIMEO, the time for which the kernel waits."""
    # For the kernel 0 means no limit.
    micros = max(1, int(seconds * 1e6))
    sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("@ll", micros // 1_000_000, micros % 1_000_000))


def poll_of(sock: socket.socket) -> select.poll:
    """A poll object that waits until the socket can be read."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return poll


def is_plain(sock: socket.socket) -> bool:
    """Whether the kernel waits, within its time limit. gevent's sockets wait in gevent's loop."""
    return sock.gettimeout() is None and type(sock).recv_into is _socket.socket.recv_into
