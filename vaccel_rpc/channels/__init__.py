"""One connection to an agent, over ttrpc or gRPC.

Channels carry bytes; `vaccel_rpc.client` knows what they mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from vaccel_rpc.addresses import Address
from vaccel_rpc.errors import RpcError
from vaccel_rpc.wire import Parts

if TYPE_CHECKING:
    import asyncio

    from vaccel_rpc.channels.tlsfiles import TlsProblem

#: Bytes of data a message may hold, as vAccel's own ttrpc allows.
MAX_MESSAGE = 1 << 30
#: Why calls fail whose connection this side has ended, unless it says more.
CLOSED = "the connection was closed"


def no_answer(timeout: float | None) -> str:
    """Why a call fails that was given ``timeout`` seconds."""
    return f"the agent did not answer{'' if timeout is None else f' within {timeout:.3g} s'}"


@dataclass(frozen=True)
class Tls:
    """PEM files for TLS.

    ``ca``: the authority to trust (default: the system's). ``cert``, ``key``: the own certificate.
    """

    ca: str | Path | None = None
    cert: str | Path | None = None
    key: str | Path | None = None

    def problem(self) -> TlsProblem | None:
        """The first file that cannot be used, and why; None where all can. They are looked at anew each time."""
        if self == Tls():
            return None
        from vaccel_rpc.channels import tlsfiles

        return tlsfiles.problem(self)

    def read(self) -> tuple[bytes | None, bytes | None, bytes | None]:
        """The content of ``ca``, ``key`` and ``cert``, as grpcio takes them. Raises ``OSError``."""
        ca, key, cert = (Path(file).read_bytes() if file else None for file in (self.ca, self.key, self.cert))
        return ca, key, cert


class PendingReply(Protocol):
    """The reply of a call that was sent."""

    @property
    def arrived(self) -> int | None:
        """When the reply or the call's error was there (nanoseconds of the epoch); None before, and at the deadline."""

    def result(self) -> bytes | bytearray | memoryview:
        """The reply's payload; waits until the call's deadline. Raises the call's `RpcError`."""


class Channel(Protocol):
    """One connection with many calls at a time. Thread-safe."""

    @property
    def closed(self) -> RpcError | None:
        """Why the connection ended; None while it is open."""

    @property
    def draining(self) -> bool:
        """Whether the agent has said that it shuts down; it answers the calls that it has got."""

    @property
    def running(self) -> int:
        """Calls without a reply."""

    def read_in(self, loop: asyncio.AbstractEventLoop) -> None:
        """Has ``loop``, in whose thread this is called, read the replies for which no thread waits.

        It has no effect over gRPC, whose library reads in threads of its own.
        """

    def start(
        self,
        service: str,
        method: str,
        payload: Parts,
        timeout: float | None = None,
        metadata: Mapping[str, str] | None = None,
        done: Callable[[], None] | None = None,
    ) -> PendingReply:
        """Sends a call. ``timeout`` (seconds) is its deadline here and at the agent.

        With ``done`` nothing waits: ``done`` is called once when the reply or an error is there, from any
        thread, and must return at once. Raises `RpcError`, and with ``done`` ``BlockingIOError`` where
        the call cannot be sent at once.
        """

    def stream(self, service: str, method: str, payloads: Iterable[bytes], timeout: float | None = None) -> PendingReply:
        """Sends a call with several requests."""

    def close(self, why: str = CLOSED) -> None:
        """Ends the connection; every waiting call fails with `Unavailable`, which says ``why``."""


def connect(
    address: Address,
    timeout: float,
    *,
    tls: Tls | None = None,
    max_message: int = MAX_MESSAGE,
    on_change: Callable[[], None] = lambda: None,
    name: str = "",
) -> Channel:
    """A connected channel to an agent.

    ``name``: the host name that led to the address, for gRPC's authority and TLS.
    ``on_change`` is called, from any thread, when the connection is lost, and when the agent says that
    it shuts down.

    Raises `Unavailable` where no agent answers within ``timeout`` seconds, `FailedPrecondition`
    where an extra is missing.
    """
    if address.is_grpc:
        from vaccel_rpc.channels.grpc import GrpcChannel

        return GrpcChannel(address, timeout, tls=tls, max_message=max_message, on_change=on_change, name=name)
    from vaccel_rpc.channels.ttrpc import TtrpcChannel

    return TtrpcChannel(address, timeout, max_message=max_message, on_change=on_change)
