"""The sockets that an agent listens on: bound first, served once engines are open, then removed."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

from vaccel_rpc.addresses import Address, is_alive, ttrpc_socket

_SOCKET_MODE = 0o660
_BACKLOG = 1024

#: Listens on a gRPC address; the address with the port it got. Raises ``OSError``.
BindGrpc = Callable[[Address], Address]


class ListenError(Exception):
    """An address cannot be listened on; the message names it and says why in one line."""


class Listeners:
    """The sockets of ``addresses``.

    `bind` takes the ttrpc addresses before the engines load: clients that connect meanwhile wait in
    the backlog. `serve` begins to answer them, and binds the gRPC addresses, which cannot wait.
    """

    def __init__(self, addresses: Sequence[Address]) -> None:
        self._addresses = addresses
        self._sockets: dict[Address, socket.socket] = {}
        self._paths: list[Path] = []
        self._servers: list[asyncio.Server] = []

    def bind(self) -> None:
        """Binds the ttrpc addresses, and frees the paths of dead agents' unix sockets.

        Raises `ListenError`.
        """
        for address in self._addresses:
            if address.is_unix:
                _free(address)
            if not address.is_grpc:
                self._sockets[address] = _bind(address)
            if address.is_unix:
                self._paths.append(Path(address.path))

    async def serve(self, accept: Callable[[], asyncio.BaseProtocol], bind_grpc: BindGrpc | None) -> list[Address]:
        """Answers on every address; the addresses with the ports they got. Raises `ListenError`."""
        return [await self._serve_one(address, accept, bind_grpc) for address in self._addresses]

    def restrict(self) -> None:
        """Lets only the agent's user and group connect to its unix sockets, gRPC's too."""
        for path in self._paths:
            path.chmod(_SOCKET_MODE)

    def stop_accepting(self) -> None:
        """Takes no new ttrpc connections: another agent can listen on these addresses from now on."""
        for server in self._servers:
            server.close()
        for address in self._sockets:
            if address.is_unix:
                self._paths.remove(Path(address.path))
                Path(address.path).unlink(missing_ok=True)

    def close(self) -> None:
        """Closes the sockets and removes their paths, unless another agent has taken them over."""
        for sock in self._sockets.values():
            sock.close()
        for path in self._paths:
            if not is_alive(path):
                path.unlink(missing_ok=True)

    async def _serve_one(
        self, address: Address, accept: Callable[[], asyncio.BaseProtocol], bind_grpc: BindGrpc | None
    ) -> Address:
        if address.is_grpc and bind_grpc:
            try:
                return bind_grpc(address)
            except OSError as error:
                raise ListenError(f"cannot listen on {address}: {error.strerror or error}") from None
        sock = self._sockets[address]
        self._servers.append(await asyncio.get_running_loop().create_server(accept, sock=sock, backlog=_BACKLOG))
        return Address("tcp", address.host, sock.getsockname()[1]) if address.scheme == "tcp" else address


def _free(address: Address) -> None:
    """Removes the socket file of a dead agent."""
    path = Path(address.path)
    if path.exists() and not path.is_socket():
        raise ListenError(f"cannot listen on {address}: the file exists and is not a socket")
    if is_alive(path):
        raise ListenError(f"cannot listen on {address}: another process listens there; choose another --server-address")
    with contextlib.suppress(FileNotFoundError):
        path.unlink()


def _bind(address: Address) -> socket.socket:
    try:
        sock, place = ttrpc_socket(address)
        try:
            _listen(sock, address, place)
        except BaseException:
            sock.close()
            raise
    except OSError as error:
        hint = "; choose another --server-address" if error.errno == errno.EADDRINUSE else ""
        raise ListenError(f"cannot listen on {address}: {error.strerror or error}{hint}") from None
    return sock


def _listen(sock: socket.socket, address: Address, place: str | tuple[str, int] | tuple[int, int]) -> None:
    if not address.is_unix:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # By the mask and not by chmod, so that there is no moment in which others may connect.
    mask = os.umask(0o777 & ~_SOCKET_MODE)
    try:
        sock.bind(place)
        sock.listen(_BACKLOG)
    finally:
        os.umask(mask)
    sock.setblocking(False)
