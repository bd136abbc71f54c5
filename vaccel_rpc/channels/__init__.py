"""One connection to an agent, whatever it speaks. Bytes in, bytes out; what they mean is `vaccel_rpc.client`'s."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from vaccel_rpc.addresses import Address
from vaccel_rpc.errors import RpcError
from vaccel_rpc.wire import Parts

#: Bytes of data a message may hold, as vAccel's own ttrpc allows.
MAX_MESSAGE = 1 << 30


@dataclass(frozen=True)
class Tls:
    """Files (PEM) for ``grpcs://``: the authority to trust (default: the system's), and a client's certificate and key."""

    ca: str | None = None
    cert: str | None = None
    key: str | None = None


class PendingReply(Protocol):
    """An answer that is under way."""

    def result(self) -> bytes | bytearray | memoryview:
        """Waits for it, at most until the call's deadline. Raises the call's `RpcError`."""


class Channel(Protocol):
    """Many calls at once over one connection; safe to use from several threads."""

    @property
    def closed(self) -> RpcError | None:
        """Why the connection is of no use any more; None while it is."""

    def start(
        self, service: str, method: str, payload: Parts, timeout: float | None = None, metadata: Mapping[str, str] | None = None
    ) -> PendingReply:
        """Sends a call; ``timeout`` in seconds becomes its deadline here and at the agent. Raises `RpcError`."""

    def stream(self, service: str, method: str, payloads: Iterable[bytes], timeout: float | None = None) -> PendingReply:
        """Sends a call of several requests."""

    def close(self) -> None:
        """Ends the connection; every waiting call fails with `Unavailable`."""


def connect(
    address: Address,
    timeout: float,
    *,
    tls: Tls | None = None,
    max_message: int = MAX_MESSAGE,
    on_close: Callable[[], None] = lambda: None,
) -> Channel:
    """A channel to an agent, connected. ``on_close`` is called once, from any thread, when the connection is lost.

    Raises `Unavailable` where nobody listens within ``timeout`` seconds, `FailedPrecondition` where an extra is missing.
    """
    if address.is_grpc:
        from vaccel_rpc.channels.grpc import GrpcChannel

        return GrpcChannel(address, timeout, tls=tls, max_message=max_message, on_close=on_close)
    from vaccel_rpc.channels.ttrpc import TtrpcChannel

    return TtrpcChannel(address, timeout, max_message=max_message, on_close=on_close)
