"""Addresses of agents.

``unix:///path``, ``tcp://host:port`` and ``vsock://cid:port`` speak ttrpc; ``grpc://host:port``,
``grpcs://host:port`` and ``grpc+unix:///path`` speak gRPC.
"""

from __future__ import annotations

import os
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

DEFAULT = "tcp://127.0.0.1:65500"

Scheme = Literal["unix", "tcp", "vsock", "grpc", "grpcs", "grpc+unix"]
_PATHS: tuple[Scheme, ...] = ("unix", "grpc+unix")
_HOSTS: tuple[Scheme, ...] = ("tcp", "grpc", "grpcs")

_TCP_FAMILIES = (socket.AF_INET, socket.AF_INET6)

#: Linux's sun_path has 108 bytes, with the terminating zero.
_MAX_PATH = 107
#: VMADDR_CID_ANY: on the listening side, any cid.
VSOCK_ANY = 0xFFFFFFFF


class AddressError(ValueError):
    """The text is not an address; the message says what one looks like."""


@dataclass(frozen=True)
class Address:
    """An agent's address.

    ``path`` of a unix socket, or ``host`` and ``port`` (0: any free port). A vsock's host is its
    cid, in decimal digits.
    """

    scheme: Scheme
    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"{self.scheme}://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def is_unix(self) -> bool:
        """Whether it is a unix socket, which only processes on this machine can reach."""
        return self.scheme in _PATHS

    @property
    def is_grpc(self) -> bool:
        """Whether the agent speaks gRPC there, not ttrpc."""
        return self.scheme.startswith("grpc")

    @property
    def target(self) -> str:
        """The address in grpcio's form."""
        return f"unix:{self.path}" if self.is_unix else str(self).split("://", 1)[1]


def parse(text: str) -> Address:
    """The address that ``text`` means. Raises `AddressError`."""
    scheme, separator, rest = text.strip().partition("://")
    if not separator:
        raise AddressError(f"{text!r} has no scheme; an address is like {DEFAULT} or unix:///run/vaccel.sock")
    if scheme in _PATHS:
        return Address(scheme, path=_path(text, rest))
    if scheme == "vsock":
        cid, port = _host_port(text, rest, "vsock://CID:PORT, such as vsock://2:2048")
        return _vsock(text, cid, port)
    if scheme in _HOSTS:
        host, port = _host_port(text, rest, f"{scheme}://HOST:PORT, such as {scheme}://127.0.0.1:65500")
        return Address(scheme, host, _number(text, port, "port", 65535))
    raise AddressError(f"{text!r}: unknown scheme {scheme!r}; expected unix, tcp, vsock, grpc, grpcs or grpc+unix")


def _path(text: str, path: str) -> str:
    if not path.startswith("/"):
        raise AddressError(f"{text!r}: the path must be absolute, as in unix:///run/vaccel.sock (three slashes)")
    length = len(os.fsencode(path))
    if length > _MAX_PATH:
        raise AddressError(f"{text!r}: the path of a unix socket has at most {_MAX_PATH} bytes, this one has {length}")
    return path


def _host_port(text: str, rest: str, right: str) -> tuple[str, str]:
    host, separator, port = rest.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not separator or not bare or any(mark in bare for mark in "/[]@?# ") or (":" in bare and bare == host):
        raise AddressError(f"{text!r}: expected {right}")
    return bare, port


def _vsock(text: str, cid: str, port: str) -> Address:
    number = VSOCK_ANY if cid == "-1" else _number(text, cid, "cid", VSOCK_ANY)
    return Address("vsock", str(number), _number(text, port, "port", VSOCK_ANY))


def _number(text: str, digits: str, name: str, maximum: int) -> int:
    if not (digits.isascii() and digits.isdigit()) or int(digits) > maximum:
        raise AddressError(f"{text!r}: the {name} must be a number from 0 to {maximum}, not {digits!r}")
    return int(digits)


def ttrpc_socket(address: Address) -> tuple[socket.socket, str | tuple[str, int] | tuple[int, int]]:
    """A new socket, and the place to connect or bind it to.

    Raises ``OSError`` for an unknown host or a family that the kernel lacks.
    """
    if address.is_unix:
        return socket.socket(socket.AF_UNIX), address.path
    if address.scheme == "vsock":
        return socket.socket(socket.AF_VSOCK), (int(address.host), address.port)
    family, _, _, _, place = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0]
    return socket.socket(family), (str(place[0]), int(place[1]))


def no_delay(sock: socket.socket) -> None:
    """Sends small frames at once, which unix and vsock sockets do anyway."""
    if sock.family in _TCP_FAMILIES:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def quick_ack(sock: socket.socket) -> None:
    """Acknowledges the received TCP segments now; unix and vsock sockets have no such delay.

    A peer that writes a frame in several pieces with Nagle's algorithm on, as upstream's clients
    and agents do, sends the next piece only after an acknowledgement, which Linux delays by 40 ms.
    The kernel forgets the option soon: call it after every read that leaves a little of a frame
    missing (`vaccel_rpc.frames.FrameReader.few_missing`).
    """
    if sock.family in _TCP_FAMILIES:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def peer_name(sock: socket.socket) -> str:
    """Whose connection it is, for a log: host and port, a process of this machine, or a vsock's CID and port."""
    try:
        if sock.family == socket.AF_UNIX:
            pid, _, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            return f"process {pid}"
        host, port, *_ = sock.getpeername()
    except OSError:
        return "a client"
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"


def is_alive(path: str | Path) -> bool:
    """Whether a process listens on the unix socket at ``path``.

    A dead agent leaves its file behind.
    """
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError:
            return True
        return True
