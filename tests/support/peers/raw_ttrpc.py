"""A ttrpc client that sends raw bytes over a blocking socket, malformed ones too."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType

from tests.support.peers import wire

REQUEST, RESPONSE, DATA = 1, 2, 3
REMOTE_CLOSED, REMOTE_OPEN, NO_DATA = 1, 2, 4

OK, CANCELLED, INVALID_ARGUMENT, DEADLINE_EXCEEDED, NOT_FOUND = 0, 1, 3, 4, 5
PERMISSION_DENIED, RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE = 7, 8, 12, 13, 14


class Closed(ConnectionError):
    """The other side ended the connection."""


@dataclass(frozen=True)
class RawReply:
    """One answer: the status (a gRPC code, a text, details as (type url, bytes)) and the payload."""

    code: int
    message: str
    details: tuple[tuple[str, bytes], ...]
    payload: bytes


class CallFailed(Exception):
    """An answer whose status is not OK."""

    def __init__(self, method: str, reply: RawReply) -> None:
        super().__init__(f"{method}: code {reply.code}: {reply.message}")
        self.reply = reply


def frame(stream: int, kind: int, flags: int, data: bytes = b"", length: int | None = None) -> bytes:
    """A frame; ``length`` is what the header claims, where that is not the truth."""
    return struct.pack(">IIBB", len(data) if length is None else length, stream, kind, flags) + data


def request(service: str, method: str, payload: bytes, timeout_nano: int = 0, metadata: Iterable[tuple[str, str]] = ()) -> bytes:
    """The body of a request frame."""
    pairs = [(5, wire.message((1, key), (2, value))) for key, value in metadata]
    return wire.message((1, service), (2, method), (3, payload), *([(4, timeout_nano)] if timeout_nano else []), *pairs)


def parse_reply(data: bytes) -> RawReply:
    """The answer in the body of a response frame."""
    response = wire.decode(data)
    status = wire.decode(wire.blob(response, 1))
    details = [wire.decode(detail) for detail in wire.blobs(status, 3)]
    return RawReply(
        code=wire.integer(status, 1),
        message=wire.text(status, 2),
        details=tuple((wire.text(detail, 1), wire.blob(detail, 2)) for detail in details),
        payload=wire.blob(response, 2),
    )


def connect(address: str, timeout: float = 30) -> socket.socket:
    """A socket to a ``unix://`` or ``tcp://`` address."""
    scheme, _, rest = address.partition("://")
    if scheme == "unix":
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(timeout)
        sock.connect(rest)
        return sock
    host, _, port = rest.rpartition(":")
    sock = socket.create_connection((host, int(port)), timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


class RawClient:
    """One connection. Not for several threads: who waits for an answer reads the socket and keeps the others' answers."""

    def __init__(self, address: str, timeout: float = 30) -> None:
        self.socket = connect(address, timeout)
        self._next_stream = 1
        self._early: dict[int, RawReply] = {}

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.socket.close()

    def new_stream(self) -> int:
        """The next odd stream id."""
        stream, self._next_stream = self._next_stream, self._next_stream + 2
        return stream

    def start(self, service: str, method: str, payload: bytes, *, timeout_nano: int = 0, flags: int = 0) -> int:
        """Sends a unary call and does not wait; the stream its answer will come on."""
        stream = self.new_stream()
        self.socket.sendall(frame(stream, REQUEST, flags, request(service, method, payload, timeout_nano)))
        return stream

    def answer(self, stream: int) -> RawReply:
        """Waits for the answer on a stream. Raises `Closed` when the connection ends first."""
        while stream not in self._early:
            got, reply = self.next_answer()
            assert got not in self._early, f"stream {got} was answered twice"
            self._early[got] = reply
        return self._early.pop(stream)

    def next_answer(self) -> tuple[int, RawReply]:
        """The next response frame on the wire: its stream and its answer."""
        length, stream, kind, flags = struct.unpack(">IIBB", self._exactly(10))
        data = self._exactly(length)
        assert (kind, flags) == (RESPONSE, 0), f"frame of type {kind} with flags {flags} on stream {stream}: {data[:80]!r}"
        return stream, parse_reply(data)

    def call(self, service: str, method: str, payload: bytes, *, timeout_nano: int = 0, flags: int = 0) -> RawReply:
        """One unary call, whatever its status."""
        return self.answer(self.start(service, method, payload, timeout_nano=timeout_nano, flags=flags))

    def ok(self, service: str, method: str, payload: bytes) -> bytes:
        """The payload of a call that succeeds. Raises `CallFailed` when it does not."""
        reply = self.call(service, method, payload)
        if reply.code != OK:
            raise CallFailed(method, reply)
        return reply.payload

    def stream_call(self, service: str, method: str, parts: Iterable[bytes]) -> RawReply:
        """A call whose request is a stream of messages."""
        stream = self.new_stream()
        self.socket.sendall(frame(stream, REQUEST, REMOTE_OPEN | NO_DATA, request(service, method, b"")))
        for part in parts:
            self.socket.sendall(frame(stream, DATA, 0, part))
        self.socket.sendall(frame(stream, DATA, REMOTE_CLOSED | NO_DATA))
        return self.answer(stream)

    def _exactly(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            part = self.socket.recv(min(count - len(data), 1 << 20))
            if not part:
                raise Closed(f"closed after {len(data)} of {count} bytes")
            data += part
        return bytes(data)
