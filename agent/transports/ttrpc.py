"""ttrpc: frames in, frames out; one asyncio protocol for each connection, with which its scope ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import cast

from agent.endpoints import Endpoint, error_status
from agent.reassembly import GenopReassembler
from agent.running_call import Done, RunningCall
from agent.service import RpcService
from agent.sessions import Sessions
from agent.transports.budget import Budget
from agent.transports.envelope import request_of
from agent.transports.responses import ResponseWriter
from vaccel_common.tracecontext import joined
from vaccel_rpc import frames
from vaccel_rpc.addresses import no_delay, peer_name, quick_ack
from vaccel_rpc.errors import InvalidArgument, ResourceExhausted, RpcError
from vaccel_rpc.proto.ttrpc_pb2 import Response
from vaccel_rpc.wire import Parts, field_head, size

_log = logging.getLogger("agent.ttrpc")

#: Seconds after which an incomplete frame or an unread response ends a connection.
_STALL_S = 30.0
_MAX_STREAMS = 64
#: Small frames of all connections are received here and copied out at once, so that an idle
#: connection holds no buffer.
_SCRATCH = memoryview(bytearray(frames.PIECE))
#: Pairs of metadata that are read; further ones are ignored.
_MAX_METADATA = 64


@dataclass
class _ArgumentStream:
    endpoint: Endpoint
    arguments: GenopReassembler
    deadline: float | None
    held: int = 0


class TtrpcConnection(asyncio.BufferedProtocol):
    """The connection of one client. ``open_connections``: the set that it belongs to while open."""

    def __init__(
        self, service: RpcService, sessions: Sessions, budget: Budget, max_message: int, open_connections: set[TtrpcConnection]
    ) -> None:
        self._service, self._sessions, self._budget, self._max_message = service, sessions, budget, max_message
        self._open = open_connections
        self._reader = frames.FrameReader(max_message, budget.reserve)
        self._scope = sessions.scope(secret=False)
        self._calls: dict[int, RunningCall | None] = {}
        self._streams: dict[int, _ArgumentStream] = {}
        self._heard = time.monotonic()
        self._transport: asyncio.Transport
        self._responses: ResponseWriter
        self._place: memoryview | None = None
        self._fd = -1
        self._tcp: socket.socket | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: connected."""
        self._transport = cast("asyncio.Transport", transport)
        self._open.add(self)
        sock = transport.get_extra_info("socket")
        self._fd = sock.fileno()
        self._scope.peer = peer_name(sock)
        self._responses = ResponseWriter(self._transport, self._fd, self._budget)
        self._tcp = sock if sock.family in (socket.AF_INET, socket.AF_INET6) else None
        with contextlib.suppress(OSError):
            no_delay(sock)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 how it ended does not matter
        """asyncio: closed. Its running calls are cancelled, and its sessions end."""
        self._open.discard(self)
        for call in self._calls.values():
            if call:
                call.cancel()
        self._budget.release(self._reader.held + sum(stream.held for stream in self._streams.values()))
        self._streams.clear()
        self._responses.close()
        self._sessions.forget(self._scope)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 the frame reader knows better
        """asyncio: the buffer to receive into."""
        self._place = self._reader.place()
        return _SCRATCH if self._place is None else self._place

    def buffer_updated(self, nbytes: int) -> None:
        """asyncio: ``nbytes`` were received."""
        self._take(nbytes)
        if self._tcp is not None and self._reader.few_missing:
            self._hurry(self._tcp)

    def _take(self, nbytes: int) -> None:
        self._heard = time.monotonic()
        try:
            for frame in self._reader.receive(_SCRATCH[:nbytes]) if self._place is None else self._reader.placed(nbytes):
                self._frame(frame)
        except frames.ProtocolError as error:
            _log.warning("Closing a connection: %s", error)
            self.close()

    def _hurry(self, sock: socket.socket) -> None:
        """Acknowledges what has come of a frame, and takes what that brings.

        A client that writes a frame in pieces with Nagle's algorithm on sends the rest when the
        first is acknowledged. From a client on this machine the rest arrives within the system
        call; to wait for it in the event loop would cost half of a small call's time.
        """
        if self._transport.is_closing() or self._responses.blocked is not None:
            return
        with contextlib.suppress(OSError):
            quick_ack(sock)
            if count := os.readv(self._fd, [self.get_buffer(-1)]):
                self._take(count)

    def pause_writing(self) -> None:
        """asyncio: the client does not read its answers.

        Until it does, no requests are read from it.
        """
        self._responses.pause()
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """asyncio: the client reads its answers again."""
        self._responses.resume()
        self._transport.resume_reading()

    def close_if_stalled(self) -> None:
        """Ends the connection if nothing of an incomplete frame came, or nothing of unread responses was
        read, for too long.
        """
        before = time.monotonic() - _STALL_S
        self._responses.notice_progress()
        blocked = self._responses.blocked
        incomplete = self._reader.partial and self._heard < before and blocked is None
        unread = blocked is not None and blocked < before
        if incomplete or unread:
            _log.warning(
                "Closing a connection: %s for %g s", "an incomplete frame" if incomplete else "unread responses", _STALL_S
            )
            self._transport.abort()

    def tell(self, message: bytes) -> None:
        """Sends a message of the agent's own, if a session of this connection has announced that its client understands it."""
        if self._scope.announced and not self._transport.is_closing():
            self._responses.write_small((message,))

    def close(self) -> None:
        """Ends the connection after what is written has been sent."""
        self._responses.flush()
        self._transport.close()

    def _frame(self, frame: frames.Frame | frames.RefusedFrame) -> None:
        if isinstance(frame, frames.RefusedFrame):
            self._refuse(frame)
        elif frame.type == frames.REQUEST:
            self._request(frame)
        elif frame.type == frames.DATA and frame.stream in self._streams:
            self._data(frame)
        else:
            # Data of a stream that has been answered, or a response, which clients do not send.
            self._budget.release(len(frame.data))

    def _refuse(self, frame: frames.RefusedFrame) -> None:
        self._budget.release(self._reader.given_up)
        if frame.type == frames.RESPONSE:
            return
        stream = self._streams.pop(frame.stream, None)
        if stream:
            self._budget.release(stream.held)
        if frame.too_large:
            error: RpcError = InvalidArgument(
                f"a message of {frame.length} bytes exceeds the limit of {self._max_message} (--max-message)"
            )
        else:
            self._service.metrics.rejected("buffer")
            error = ResourceExhausted("the memory for requests is used up (--max-buffer)", retry_after=1)
        self._fail(frame.stream, None, error)

    def _request(self, frame: frames.Frame) -> None:
        endpoint = None
        size = len(frame.data)
        try:
            if frame.stream % 2 == 0:
                raise InvalidArgument(f"stream id {frame.stream} is even; ids of a client's streams are odd")
            if frame.stream in self._calls or frame.stream in self._streams:
                raise InvalidArgument(f"stream id {frame.stream} is in use")
            request, payload = request_of(frame.data)
            endpoint = self._service.endpoint(request.service, request.method)
            deadline = time.monotonic() + request.timeout_nano / 1e9 if request.timeout_nano > 0 else None
            if endpoint.method.streams and frame.flags & frames.REMOTE_OPEN:
                self._open_stream(frame, endpoint, payload, deadline)
                return
            arguments = GenopReassembler(endpoint, self._scope, self._max_message) if endpoint.method.streams else None
            if arguments is not None and payload:
                arguments.add(payload)
        except RpcError as error:
            self._service.count_refusal(error)
            self._budget.release(size)
            self._fail(frame.stream, endpoint, error)
            return
        if arguments is not None:
            start = partial(self._service.start_joined, endpoint, self._scope, arguments, deadline)
        else:
            pairs = request.metadata
            metadata = joined((pair.key, pair.value) for pair in pairs[:_MAX_METADATA]) if pairs else {}
            start = partial(self._service.start, endpoint, self._scope, payload, deadline, metadata)
        self._start(frame.stream, endpoint, size, start)

    def _open_stream(self, frame: frames.Frame, endpoint: Endpoint, payload: bytes | memoryview, deadline: float | None) -> None:
        if len(self._streams) >= _MAX_STREAMS:
            raise ResourceExhausted(
                f"{_MAX_STREAMS} streams are open on this connection, the limit", retry_after=1, reason="streams"
            )
        stream = _ArgumentStream(endpoint, GenopReassembler(endpoint, self._scope, self._max_message), deadline)
        if payload:
            stream.arguments.add(payload)
        stream.held = len(frame.data)
        self._streams[frame.stream] = stream

    def _data(self, frame: frames.Frame) -> None:
        stream = self._streams[frame.stream]
        stream.held += len(frame.data)
        try:
            if not frame.flags & frames.NO_DATA:
                stream.arguments.add(frame.data)
        except RpcError as error:
            del self._streams[frame.stream]
            self._budget.release(stream.held)
            self._fail(frame.stream, stream.endpoint, error)
            return
        if frame.flags & frames.REMOTE_CLOSED:
            del self._streams[frame.stream]
            start = partial(self._service.start_joined, stream.endpoint, self._scope, stream.arguments, stream.deadline)
            self._start(frame.stream, stream.endpoint, stream.held, start)

    def _start(self, stream: int, endpoint: Endpoint, held: int, start: Callable[[Done], RunningCall]) -> None:
        def done(payload: Parts, error: BaseException | None) -> None:
            if error is None:
                length = size(payload)
                self._send(stream, [field_head(2, length), *payload] if length else [])
            elif isinstance(error, RpcError):
                self._fail(stream, endpoint, error)
            elif isinstance(error, Exception):
                _log.error("%s failed", endpoint.method.name, exc_info=error)
                self._fail(stream, endpoint, RpcError("the agent failed; its log has the reason"))
            del self._calls[stream]
            self._budget.release(held)

        # It may have ended when `start` returns.
        self._calls[stream] = None
        call = start(done)
        if stream in self._calls:
            self._calls[stream] = call

    def _fail(self, stream: int, endpoint: Endpoint | None, error: RpcError) -> None:
        if not self._transport.is_closing():
            response = Response(status=error_status(endpoint, error)).SerializeToString()
            self._responses.write_small((frames.header(stream, frames.RESPONSE, 0, len(response)), response))

    def _send(self, stream: int, response: Parts) -> None:
        if self._transport.is_closing():
            return
        length = size(response)
        if length > self._max_message:
            self._fail(stream, None, ResourceExhausted(f"the response of {length} bytes exceeds the limit (--max-message)"))
        # A lone call need not wait for another turn of the event loop.
        elif not self._responses.write(
            (frames.header(stream, frames.RESPONSE, 0, length), *response), length, more=len(self._calls) > 1
        ):
            self._service.metrics.rejected("buffer")
            self._fail(
                stream, None, ResourceExhausted("the memory for unread responses is used up (--max-buffer)", retry_after=1)
            )
