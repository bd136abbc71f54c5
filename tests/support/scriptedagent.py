"""One ttrpc connection whose other end does what a test prescribes."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from vaccel_rpc import frames
from vaccel_rpc.addresses import Address
from vaccel_rpc.channels.ttrpc import TtrpcChannel
from vaccel_rpc.errors import RpcError
from vaccel_rpc.proto.ttrpc_pb2 import Request, Response, Status

Script = Callable[["ScriptedAgent", frames.Frame, Request], None]


@dataclass
class ScriptedAgent:
    """Accepts one connection and handles each request as the test prescribes."""

    answer: Script
    sock: socket.socket = field(default_factory=lambda: socket.socket(socket.AF_UNIX))
    lock: threading.Lock = field(default_factory=threading.Lock)
    kept: list[tuple[int, bytes]] = field(default_factory=list)
    accepted: threading.Event = field(default_factory=threading.Event)

    def serve(self, listener: socket.socket) -> None:
        self.sock, _ = listener.accept()
        self.accepted.set()
        reader = frames.FrameReader(1 << 30)
        with contextlib.suppress(OSError):
            while data := self.sock.recv(1 << 16):
                for frame in reader.receive(data):
                    assert isinstance(frame, frames.Frame)
                    self.answer(self, frame, Request.FromString(bytes(frame.data)))

    def send(self, stream: int, payload: bytes = b"", code: int = 0) -> None:
        status = Status(code=code, message="no") if code else None
        response = Response(status=status, payload=payload).SerializeToString()
        with self.lock, contextlib.suppress(OSError):
            self.sock.sendall(frames.encode(stream, frames.RESPONSE, 0, response))

    def hang_up(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


@dataclass
class Ends:
    channel: TtrpcChannel
    peer: ScriptedAgent
    lost: threading.Event


@contextlib.contextmanager
def connected(folder: Path, answer: Script, max_message: int = 1 << 20) -> Iterator[Ends]:
    path, lost, peer = str(folder / "peer.sock"), threading.Event(), ScriptedAgent(answer)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        thread = threading.Thread(target=peer.serve, args=(listener,), daemon=True)
        thread.start()
        channel = TtrpcChannel(Address("unix", path=path), 5, max_message=max_message, on_change=lost.set)
        try:
            yield Ends(channel, peer, lost)
        finally:
            channel.close()
            thread.join(5)
            peer.hang_up()


def echo(peer: ScriptedAgent, frame: frames.Frame, request: Request) -> None:
    peer.send(frame.stream, request.payload)


def nothing(peer: ScriptedAgent, frame: frames.Frame, request: Request) -> None:
    peer.kept.append((frame.stream, request.payload))


def call(ends: Ends, payload: bytes = b"x", timeout: float | None = 10) -> bytes:
    return bytes(ends.channel.start("s", "m", [payload], timeout).result())


def outcome(ends: Ends, timeout: float | None) -> bytes | RpcError:
    try:
        return call(ends, timeout=timeout)
    except RpcError as error:
        return error
