"""ttrpc over a blocking socket: any thread sends, one reader thread hands the answers out."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress

from google.protobuf.message import DecodeError

from vaccel_rpc import frames
from vaccel_rpc.addresses import Address, no_delay, ttrpc_socket
from vaccel_rpc.errors import DeadlineExceeded, ResourceExhausted, RpcError, Unavailable
from vaccel_rpc.proto.ttrpc_pb2 import Request, Status
from vaccel_rpc.status import from_status
from vaccel_rpc.wire import Parts, WireError, cut, field_head, size

_Bytes = bytes | bytearray | memoryview
_LAST_STREAM = 2**32 - 1
#: Seconds without progress after which a send, or an unanswered TCP segment, means that the peer is gone.
_STALL_S = 30
#: sendmsg takes at most IOV_MAX pieces.
_MOST_PIECES = 512


class _Reply:
    """Waits for one stream's answer."""

    def __init__(self, channel: TtrpcChannel, stream: int, what: str, deadline: float | None) -> None:
        self.future: Future[_Bytes] = Future()
        self._channel, self._stream, self._what, self._deadline = channel, stream, what, deadline

    def result(self) -> _Bytes:
        """The reply's payload. Raises the call's `RpcError`."""
        left = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
        try:
            return self.future.result(left)
        except TimeoutError:
            self._channel.forget(self._stream)
            raise DeadlineExceeded(f"{self._what}: no answer within the time given") from None


class TtrpcChannel:
    """See `vaccel_rpc.channels.Channel`. ``max_message``: bytes of data that an answer may hold."""

    def __init__(self, address: Address, timeout: float, *, max_message: int, on_close: Callable[[], None]) -> None:
        self._address = address
        self._socket = _connected(address, timeout)
        self._reader = frames.FrameReader(max_message)
        self._on_close = on_close
        self._lock = threading.Lock()
        self._send_lock = threading.Lock()
        self._next_stream = 1
        self._waiting: dict[int, _Reply] = {}
        self._closed: RpcError | None = None
        threading.Thread(target=self._read, name=f"ttrpc {address}", daemon=True).start()

    @property
    def closed(self) -> RpcError | None:
        """Why the connection ended; None while it lives."""
        return self._closed

    def start(
        self, service: str, method: str, payload: Parts, timeout: float | None = None, metadata: Mapping[str, str] | None = None
    ) -> _Reply:
        """Sends a unary call."""
        reply, stream, head, deadline = self._open(service, method, timeout, metadata)
        head += field_head(3, size(payload))
        frame = frames.header(stream, frames.REQUEST, 0, len(head) + size(payload))
        self._send(stream, [frame + head, *payload], deadline)
        return reply

    def stream(self, service: str, method: str, payloads: Iterable[bytes], timeout: float | None = None) -> _Reply:
        """Sends a call whose requests follow one by one."""
        reply, stream, head, deadline = self._open(service, method, timeout)
        self._send(stream, [frames.encode(stream, frames.REQUEST, frames.REMOTE_OPEN | frames.NO_DATA, head)], deadline)
        for payload in payloads:
            self._send(stream, [frames.encode(stream, frames.DATA, 0, payload)], deadline)
        self._send(stream, [frames.encode(stream, frames.DATA, frames.REMOTE_CLOSED | frames.NO_DATA)], deadline)
        return reply

    def forget(self, stream: int) -> None:
        """No longer waits for that stream; a late answer is dropped."""
        with self._lock:
            self._waiting.pop(stream, None)

    def close(self) -> None:
        """Ends the connection."""
        self._fail(Unavailable(f"{self._address}: the connection was closed"))

    def _open(
        self, service: str, method: str, timeout: float | None, metadata: Mapping[str, str] | None = None
    ) -> tuple[_Reply, int, bytes, float | None]:
        deadline = None if timeout is None else time.monotonic() + timeout
        if timeout is not None and timeout <= 0:
            raise DeadlineExceeded(f"{method}: the time given was up before it was sent")
        head = Request(service=service, method=method, timeout_nano=0 if timeout is None else max(1, int(timeout * 1e9)))
        for key, value in (metadata or {}).items():
            head.metadata.add(key=key, value=value)
        with self._lock:
            if self._closed:
                raise self._closed
            stream, self._next_stream = self._next_stream, self._next_stream + 2
            reply = self._waiting[stream] = _Reply(self, stream, method, deadline)
        if self._next_stream > _LAST_STREAM:
            self._fail(Unavailable(f"{self._address}: every stream id of the connection is used"))
        return reply, stream, head.SerializeToString(), deadline

    def _send(self, stream: int, parts: Parts, deadline: float | None) -> None:
        left = -1 if deadline is None else max(0.0, deadline - time.monotonic())
        if not self._send_lock.acquire(timeout=left):
            self.forget(stream)
            raise DeadlineExceeded("the connection was busy with another message for all of the time given")
        try:
            _send_all(self._socket, parts)
        except OSError as error:
            self._fail(Unavailable(f"{self._address}: {error.strerror or error}"))
        finally:
            self._send_lock.release()
        if self._closed:
            raise self._closed

    def _read(self) -> None:
        buffer = memoryview(bytearray(frames.PIECE))
        try:
            while True:
                place = self._reader.place()
                count = self._socket.recv_into(buffer if place is None else place)
                if not count:
                    break
                for frame in self._reader.receive(buffer[:count]) if place is None else self._reader.placed(count):
                    self._answer(frame)
            self._fail(Unavailable(f"{self._address}: the agent closed the connection"))
        except OSError as error:
            self._fail(Unavailable(f"{self._address}: {error.strerror or error}"))
        except (frames.ProtocolError, WireError, DecodeError) as error:
            self._fail(Unavailable(f"{self._address}: not a ttrpc answer: {error}"))

    def _answer(self, frame: frames.Frame | frames.Refused) -> None:
        with self._lock:
            reply = self._waiting.pop(frame.stream, None)
        if reply is None:
            return
        if isinstance(frame, frames.Refused):
            reply.future.set_exception(ResourceExhausted(f"the answer has {frame.length} bytes, more than this client takes"))
            return
        try:
            reply.future.set_result(_payload(frame.data))
        except RpcError as error:
            reply.future.set_exception(error)

    def _fail(self, error: RpcError) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = error
            waiting, self._waiting = self._waiting, {}
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for reply in waiting.values():
            reply.future.set_exception(error)
        self._on_close()


def _payload(response: bytes | bytearray | memoryview) -> memoryview:
    """The payload of a ttrpc.Response. Raises the `RpcError` that its status means."""
    rest, payloads = cut(response, 2)
    _, statuses = cut(rest, 1)
    status = Status.FromString(bytes(statuses[0])) if statuses else None
    if status and status.code:
        raise from_status(status)
    return payloads[0] if payloads else memoryview(b"")


def _connected(address: Address, timeout: float) -> socket.socket:
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
        raise Unavailable(f"{address}: no agent answered within {timeout:g} s") from None
    except (OSError, OverflowError) as error:
        raise Unavailable(f"{address}: {getattr(error, 'strerror', None) or error}") from None
    return sock


def _notice_a_dead_peer(sock: socket.socket) -> None:
    no_delay(sock)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", _STALL_S, 0))
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in ((socket.TCP_KEEPIDLE, 10), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3)):
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _STALL_S * 1000)


def _send_all(sock: socket.socket, parts: Parts) -> None:
    views = [memoryview(part) for part in parts if len(part)]
    while views:
        sent = sock.sendmsg(views[:_MOST_PIECES])
        while views and sent >= len(views[0]):
            sent -= len(views.pop(0))
        if sent:
            views[0] = views[0][sent:]
