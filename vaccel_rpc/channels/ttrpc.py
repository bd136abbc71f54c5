"""ttrpc over a blocking socket: any thread sends, and one of the callers that wait reads (`handoff`)."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from vaccel_common.protowire import WireError
from vaccel_rpc import draining, frames
from vaccel_rpc.addresses import Address, quick_ack
from vaccel_rpc.channels import CLOSED, no_answer, sockets
from vaccel_rpc.channels.handoff import PendingCall, ReaderHandoff
from vaccel_rpc.channels.owner import ConnectionOwner
from vaccel_rpc.errors import DeadlineExceeded, ResourceExhausted, RpcError, Unavailable
from vaccel_rpc.proto.ttrpc_pb2 import Request, Response
from vaccel_rpc.status import from_status
from vaccel_rpc.tensorfields import LARGE
from vaccel_rpc.wire import Parts, cut, field_head, size

if TYPE_CHECKING:
    import asyncio

_Bytes = bytes | bytearray | memoryview
_LAST_STREAM = 2**32 - 1


class _TtrpcReply:
    """The reply of one stream's call, for which its caller gave ``timeout`` seconds."""

    def __init__(self, channel: TtrpcChannel, call: PendingCall, timeout: float | None) -> None:
        self._channel, self._call, self._timeout = channel, call, timeout

    @property
    def arrived(self) -> int | None:
        """See `vaccel_rpc.channels.PendingReply`."""
        return self._call.arrived

    def result(self) -> _Bytes:
        """The reply's payload. Raises the call's `RpcError`."""
        return self._channel.wait(self._call, self._timeout)


class TtrpcChannel:
    """See `vaccel_rpc.channels.Channel`. ``max_message``: bytes of data that a reply may hold."""

    def __init__(self, address: Address, timeout: float, *, max_message: int, on_change: Callable[[], None]) -> None:
        self._address = address
        self._socket = sockets.connected(address, timeout)
        self._reader = frames.FrameReader(max_message)
        self._buffer = memoryview(bytearray(frames.PIECE))
        self._limit = sockets.TICK_S
        self._poll = None if sockets.is_plain(self._socket) else sockets.poll_of(self._socket)
        self._on_change = on_change
        self._send_lock = threading.Lock()
        self._streams = itertools.count(1, 2)
        #: Whether the agent has said that it shuts down.
        self.draining = False
        self._owner = ConnectionOwner(self._socket, f"ttrpc {address}", self._close_socket)
        self._handoff = ReaderHandoff(self._receive, self._owner.hurry)
        self._owner.start(self._handoff)

    @property
    def closed(self) -> RpcError | None:
        """Why the connection ended; None while it lives."""
        return self._handoff.ended

    @property
    def running(self) -> int:
        """Calls without a reply."""
        return self._handoff.pending

    def read_in(self, loop: asyncio.AbstractEventLoop) -> None:
        """See `vaccel_rpc.channels.Channel`."""
        self._owner.read_in(loop)

    def start(
        self,
        service: str,
        method: str,
        payload: Parts,
        timeout: float | None = None,
        metadata: Mapping[str, str] | None = None,
        done: Callable[[], None] | None = None,
    ) -> _TtrpcReply:
        """Sends a unary call."""
        call, head = self._open(service, method, timeout, metadata, done)
        length = size(payload)
        head += field_head(3, length)
        self._send(call, [frames.header(call.stream, frames.REQUEST, 0, len(head) + length) + head, *payload], wait=done is None)
        return _TtrpcReply(self, call, timeout)

    def stream(self, service: str, method: str, payloads: Iterable[bytes], timeout: float | None = None) -> _TtrpcReply:
        """Sends a call whose requests follow one by one."""
        call, head = self._open(service, method, timeout)
        self._send(call, [frames.encode(call.stream, frames.REQUEST, frames.REMOTE_OPEN | frames.NO_DATA, head)])
        for payload in payloads:
            self._send(call, [frames.encode(call.stream, frames.DATA, 0, payload)])
        self._send(call, [frames.encode(call.stream, frames.DATA, frames.REMOTE_CLOSED | frames.NO_DATA)])
        return _TtrpcReply(self, call, timeout)

    def wait(self, call: PendingCall, timeout: float | None) -> bytes | memoryview:
        """The payload of a call's reply. Raises its `RpcError`, or why the connection ended.

        ``timeout``: the seconds that the call was given when it was sent, for the message.
        """
        outcome = self._handoff.wait(call)
        if outcome is None:
            raise DeadlineExceeded(no_answer(timeout), at=self._address)
        if isinstance(outcome, RpcError):
            raise outcome
        if isinstance(outcome, frames.RefusedFrame):
            raise ResourceExhausted(f"the reply of {outcome.length} bytes exceeds this client's limit")
        try:
            return _payload(outcome.data)
        except (WireError, DecodeError) as error:
            raise self._fail(f"not a ttrpc response: {error}") from None

    def close(self, why: str = CLOSED) -> None:
        """Ends the connection; see `vaccel_rpc.channels.Channel`."""
        self._fail(why)

    def _open(
        self,
        service: str,
        method: str,
        timeout: float | None,
        metadata: Mapping[str, str] | None = None,
        done: Callable[[], None] | None = None,
    ) -> tuple[PendingCall, bytes]:
        deadline = None if timeout is None else time.monotonic() + timeout
        if timeout is not None and timeout <= 0:
            raise DeadlineExceeded("the deadline passed before the call was sent", at=self._address)
        head = Request(service=service, method=method, timeout_nano=0 if timeout is None else max(1, int(timeout * 1e9)))
        for key, value in (metadata or {}).items():
            head.metadata.add(key=key, value=value)
        call = PendingCall(next(self._streams), deadline, done)
        if call.stream > _LAST_STREAM:
            raise self._fail("all stream ids of the connection are used")
        self._handoff.add(call)
        return call, head.SerializeToString()

    def _send(self, call: PendingCall, parts: Parts, *, wait: bool = True) -> None:
        left = call.left() if wait else 0
        if not self._send_lock.acquire(timeout=-1 if left is None else left):
            self._handoff.forget(call)
            if not wait:
                raise BlockingIOError
            raise DeadlineExceeded("the connection was busy with another message until the deadline", at=self._address)
        try:
            self._write([memoryview(part) for part in parts if len(part)], wait=wait)
        except BlockingIOError:
            self._handoff.forget(call)
            raise
        except OSError as error:
            self._fail(error.strerror or str(error))
        finally:
            self._send_lock.release()
        if self._handoff.ended:
            raise self._handoff.ended

    def _write(self, views: list[memoryview], *, wait: bool) -> None:
        """Sends everything. Raises ``BlockingIOError``, and has sent nothing, where that must not ``wait``."""
        flags: int = socket.MSG_DONTWAIT
        while views:
            try:
                sent = self._socket.sendmsg(views[: frames.MAX_PIECES], (), flags)
            except BlockingIOError as error:
                if not wait:
                    raise
                if not flags:
                    raise TimeoutError(error.errno, error.strerror) from None
                sent = 0
            wait = True
            if frames.unsent(views, sent):
                # The agent may read no further before its replies are read, and perhaps no caller
                # waits for one.
                self._owner.hurry()
                flags = 0

    def _close_socket(self) -> None:
        with self._send_lock:
            self._socket.close()

    def _receive(self, seconds: float | None) -> None:
        """Waits for bytes, at most ``seconds`` and at most a tick, and completes calls with their
        replies.
        """
        try:
            place = self._reader.place()
            count = self._socket.recv_into(self._buffer if place is None else place, 0, self._flags(seconds))
            for frame in self._reader.receive(self._buffer[:count]) if place is None else self._reader.placed(count):
                if frame.type == frames.REQUEST:
                    self._notice(frame)
                else:
                    self._handoff.complete(frame.stream, frame)
            if self._reader.few_missing:
                quick_ack(self._socket)
            if not count:
                self._fail("the agent closed the connection")
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(error.strerror or str(error))
        except frames.ProtocolError as error:
            self._fail(f"not a ttrpc response: {error}")
        except BaseException:
            # An exception of a signal handler: bytes may have been taken from the socket and lost.
            self._fail(CLOSED)
            raise

    def _notice(self, request: frames.Frame | frames.RefusedFrame) -> None:
        """Takes note of what the agent says of itself; a request that is unknown means nothing to this client."""
        if draining.is_message(request) and not self.draining:
            self.draining = True
            self._on_change()

    def _flags(self, seconds: float | None) -> int:
        """The flags with which receiving waits at most ``seconds``."""
        if self._poll:
            # gevent's sockets wait forever, whatever the flags: they are read only when readable.
            if not self._poll.poll(None if seconds is None else 1000 * seconds):
                raise BlockingIOError
            return socket.MSG_DONTWAIT
        if seconds == 0:
            return socket.MSG_DONTWAIT
        limit = sockets.TICK_S if seconds is None or seconds > sockets.TICK_S else seconds
        if limit != self._limit:
            sockets.limit(self._socket, socket.SO_RCVTIMEO, limit)
            self._limit = limit
        return 0

    def _fail(self, why: str) -> RpcError:
        """Ends the connection, unless it has ended; returns why it ended."""
        error = Unavailable(why, at=self._address)
        if self._handoff.end(error):
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._on_change()
        return self._handoff.ended or error


def _payload(response: _Bytes) -> bytes | memoryview:
    """The payload of a ttrpc.Response. Raises the `RpcError` that its status means."""
    if len(response) < LARGE:
        message = Response.FromString(response)  # type: ignore[arg-type] # it takes any buffer
        payload: bytes | memoryview = message.payload
    else:
        head, payloads = cut(response, 2)
        message, payload = Response.FromString(head), payloads[0] if payloads else b""
    if message.status.code:
        raise from_status(message.status)
    return payload
