"""gRPC with the same services and messages.

Needs the extra ``grpc``; imported only for a grpc address.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from vaccel_rpc.addresses import Address
from vaccel_rpc.channels import CLOSED, Tls, no_answer
from vaccel_rpc.errors import DeadlineExceeded, FailedPrecondition, RpcError, Unavailable, from_code
from vaccel_rpc.proto.ttrpc_pb2 import Status
from vaccel_rpc.status import from_status
from vaccel_rpc.wire import Parts

if TYPE_CHECKING:
    import asyncio

try:
    import grpc
except ImportError:
    grpc = None

#: Seconds within which the end of a connection is noticed, and those for the replies that came before it:
#: grpcio delivers them in other threads.
_NOTICED_S, _DELIVERED_S = 1.0, 0.2
#: The health service's method that tells each change, its responses (``HealthCheckResponse``: status 1
#: and 2), and the seconds until it is called again where a proxy ends the call.
_WATCH, _SERVING, _NOT_SERVING, _WATCH_AGAIN_S = "/grpc.health.v1.Health/Watch", b"\x08\x01", b"\x08\x02", 10.0
#: A part of what grpcio says of a call whose deadline passed on this side; an agent's message says more.
_DEADLINE_PASSED = "Deadline Exceeded"
#: The metadata in which gRPC carries a ``google.rpc.Status`` with its details.
DETAILS = "grpc-status-details-bin"


def message_options(max_message: int) -> list[tuple[str, int]]:
    """grpcio's channel and server options for messages of up to ``max_message`` bytes."""
    return [("grpc.max_receive_message_length", max_message), ("grpc.max_send_message_length", max_message)]


class _GrpcReply:
    def __init__(self, channel: GrpcChannel, call: Any, timeout: float | None) -> None:
        self._channel, self._call, self._timeout = channel, call, timeout
        #: See `vaccel_rpc.channels.PendingReply`.
        self.arrived: int | None = None

    def result(self) -> bytes:
        """The reply's payload. Raises the call's `RpcError`."""
        try:
            payload: bytes = self._call.result()
        except grpc.RpcError as error:
            # No caller cancels: grpcio does where the connection is closed, and an agent that ends.
            if error.code() is grpc.StatusCode.CANCELLED:
                raise self._channel.closed or Unavailable("the agent cancelled the call", at=self._channel.address) from None
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED and _DEADLINE_PASSED in (error.details() or ""):
                raise DeadlineExceeded(no_answer(self._timeout), at=self._channel.address) from None
            raise _error(error) from None
        except grpc.FutureCancelledError:
            raise self._channel.closed or Unavailable(CLOSED, at=self._channel.address) from None
        return payload


class GrpcChannel:
    """See `vaccel_rpc.channels.Channel`."""

    def __init__(
        self,
        address: Address,
        timeout: float,
        *,
        tls: Tls | None,
        max_message: int,
        on_change: Callable[[], None],
        name: str = "",
    ) -> None:
        if grpc is None:
            raise FailedPrecondition("gRPC needs grpcio: pip install 'grpcio>=1.80'", at=address)
        self.address, self._on_change = address, on_change
        #: When each call was sent that has no reply yet.
        self._calls: dict[Any, float] = {}
        self._closed: RpcError | None = None
        self._ended = threading.Event()
        #: Whether the agent has said that it shuts down.
        self.draining = False
        self._channel = _channel(address, tls, max_message, name)
        try:
            grpc.channel_ready_future(self._channel).result(timeout)
        except grpc.FutureTimeoutError:
            self._channel.close()
            raise Unavailable(f"no agent answered within {timeout:g} s", at=address) from None
        self._channel.subscribe(self._changed)
        threading.Thread(target=self._watch, name=f"health of {address}", daemon=True).start()

    @property
    def closed(self) -> RpcError | None:
        """Why the connection ended; None while it lives."""
        return self._closed

    @property
    def running(self) -> int:
        """Calls without a reply."""
        return len(self._calls)

    def read_in(self, loop: asyncio.AbstractEventLoop) -> None:
        """See `vaccel_rpc.channels.Channel`."""

    def start(
        self,
        service: str,
        method: str,
        payload: Parts,
        timeout: float | None = None,
        metadata: Mapping[str, str] | None = None,
        done: Callable[[], None] | None = None,
    ) -> _GrpcReply:
        """Sends a unary call."""
        if self._closed:
            raise self._closed
        call = self._channel.unary_unary(f"/{service}/{method}").future(
            b"".join(payload), timeout, [*metadata.items()] if metadata else None
        )
        return self._started(call, timeout, done)

    def stream(self, service: str, method: str, payloads: Iterable[bytes], timeout: float | None = None) -> _GrpcReply:
        """Sends a call with several requests."""
        if self._closed:
            raise self._closed
        return self._started(self._channel.stream_unary(f"/{service}/{method}").future(iter(payloads), timeout=timeout), timeout)

    def close(self, why: str = CLOSED) -> None:
        """Ends the connection; see `vaccel_rpc.channels.Channel`."""
        self._lost(why)
        self._channel.close()

    def _started(self, call: Any, timeout: float | None, done: Callable[[], None] | None = None) -> _GrpcReply:
        self._calls[call] = time.monotonic()
        reply = _GrpcReply(self, call, timeout)

        def over(_: object) -> None:
            reply.arrived = time.time_ns()
            self._calls.pop(call, None)
            if done is not None:
                done()

        call.add_done_callback(over)
        return reply

    def _watch(self) -> None:
        """Notices that the agent shuts down, by its health service."""
        while not self.draining:
            try:
                self._read_health()
            except ValueError:
                return  # the channel is closed
            except grpc.RpcError as error:
                if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                    return
            if self._ended.wait(_WATCH_AGAIN_S):
                return

    def _read_health(self) -> None:
        """Returns when the agent shuts down, and where a proxy ends the call. Raises ``grpc.RpcError``."""
        was_serving = False
        for status in self._channel.unary_stream(_WATCH)(b""):
            if status == _NOT_SERVING and was_serving:
                self.draining = True
                self._on_change()
                return
            was_serving = was_serving or status == _SERVING

    def _changed(self, state: Any) -> None:
        if state is grpc.ChannelConnectivity.READY or self._closed:
            return
        self._lost("the agent closed the connection")
        # grpcio connects again, and holds calls until then that were sent meanwhile, perhaps to their
        # deadline. Earlier ones are on the old connection, whose agent may still answer them.
        recent = time.monotonic() - _NOTICED_S
        if held := [call for call, sent in [*self._calls.items()] if sent > recent]:
            timer = threading.Timer(_DELIVERED_S, _cancel, [held])
            timer.daemon = True
            timer.start()

    def _lost(self, why: str) -> None:
        if self._closed is None:
            self._closed = Unavailable(why, at=self.address)
            self._ended.set()
            self._on_change()


def _cancel(calls: Iterable[Any]) -> None:
    for call in calls:
        call.cancel()


def _channel(address: Address, tls: Tls | None, max_message: int, name: str) -> Any:
    # Each client needs a connection of its own: by default grpcio shares the subchannels of equal
    # targets within a process.
    options: list[tuple[str, Any]] = [
        *message_options(max_message), ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0),
    ]  # fmt: skip
    if name:
        options.append(("grpc.default_authority", f"{name}:{address.port}"))
    if address.scheme != "grpcs":
        return grpc.insecure_channel(address.target, options)
    tls = tls or Tls()
    if found := tls.problem():
        raise FailedPrecondition(f"TLS file {found}")
    ca, key, cert = tls.read()
    if name:
        options.append(("grpc.ssl_target_name_override", name))
    return grpc.secure_channel(address.target, grpc.ssl_channel_credentials(ca, key, cert), options)


def _error(error: Any) -> RpcError:
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS:
            return from_status(Status.FromString(value))
    return from_code(error.code().value[0], error.details() or error.code().name)
