"""Upstream's agents, played: they answer with recorded bytes and write as upstream does.

Every frame is written in pieces, header and message, with Nagle's algorithm on. `Replay` repeats a recorded session; `UpstreamAgent`
answers by the method that is called, whatever the order.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tests.support.recorded import Recording, recording
from vaccel_rpc import frames
from vaccel_rpc.addresses import parse, ttrpc_socket
from vaccel_rpc.dialects import Version, dialect
from vaccel_rpc.proto.dialect08 import resource_pb2
from vaccel_rpc.proto.ttrpc_pb2 import Request, Response
from vaccel_rpc.tensors import DTYPES, Tensor, from_values

Transport = Literal["unix", "tcp"]
#: A stream and its request; the bytes of the ttrpc.Response.
Answer = Callable[[int, Request], bytes]
#: How the bytes of a frame are written.
Cut = Callable[[bytes], Sequence[bytes]]


def header_and_message(frame: bytes) -> Sequence[bytes]:
    """Two writes, as upstream's agents write."""
    return frame[: frames.HEADER.size], frame[frames.HEADER.size :]


def single_bytes(frame: bytes) -> Sequence[bytes]:
    """A write for each byte."""
    return [frame[at : at + 1] for at in range(len(frame))]


@dataclass
class PlayedAgent:
    """An agent that listens at ``address``. ``received``: what clients sent; ``requests``: the calls in it."""

    answer: Answer
    address: str = ""
    cut: Cut = header_and_message
    received: bytearray = field(default_factory=bytearray)
    requests: list[Request] = field(default_factory=list)
    connections: list[socket.socket] = field(default_factory=list)

    @property
    def calls(self) -> list[tuple[str, str]]:
        """Service and method of each call, in order."""
        return [(request.service, request.method) for request in self.requests]

    def hang_up(self) -> None:
        """Ends every connection that there is; a new one can be made, even while this one ends."""
        for connection in tuple(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def accept(self, listener: socket.socket) -> None:
        """Serves connections until the listener is closed."""
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                self.connections.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        reader = frames.FrameReader(1 << 30)
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(1 << 16):
                self.received += data
                for frame in reader.receive(data):
                    assert isinstance(frame, frames.Frame)
                    # The data of a stream is ignored: upstream answers before it has come.
                    if frame.type == frames.REQUEST:
                        request = Request.FromString(bytes(frame.data))
                        self.requests.append(request)
                        message = self.answer(frame.stream, request)
                        for piece in self.cut(frames.encode(frame.stream, frames.RESPONSE, 0, message)):
                            connection.sendall(piece)


@contextlib.contextmanager
def played(answer: Answer, folder: Path, transport: Transport = "unix", cut: Cut = header_and_message) -> Iterator[PlayedAgent]:
    """An agent that answers so, on a unix socket in ``folder`` or on a port."""
    agent = PlayedAgent(answer, cut=cut)
    sock, place = ttrpc_socket(parse("tcp://127.0.0.1:0" if transport == "tcp" else f"unix://{folder}/played.sock"))
    with sock as listener:
        listener.bind(place)
        listener.listen()
        agent.address = f"tcp://127.0.0.1:{listener.getsockname()[1]}" if transport == "tcp" else f"unix://{folder}/played.sock"
        threading.Thread(target=agent.accept, args=(listener,), daemon=True).start()
        try:
            yield agent
        finally:
            agent.hang_up()
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)


def replay(session: Recording) -> Answer:
    """Answers each stream as the recorded agent did."""
    answers = {frame.stream: bytes(frame.data) for frame in session.frames("agent")}
    return lambda stream, _: answers[stream]


#: The releases, and builds of main between them.
Build = Literal["0.7", "2025-06-30", "2025-07-17", "0.8"]

_MESSAGES: dict[Build, Version] = {"0.7": "0.7", "2025-06-30": "0.7", "2025-07-17": "0.7", "0.8": "0.8"}
_BLOBS = ("2025-06-30", "2025-07-17", "0.8")
_MODEL_RUN = ("2025-07-17", "0.8")
#: What is recorded, by the stream on which it was answered.
_RECORDED: dict[Version, tuple[str, dict[str, int]]] = {
    "0.7": (
        "upstream-agent-0.7",
        {
            "session": 1,
            "refused": 7,
            "path": 9,
            "upload": 13,
            "run": 17,
            "profile": 21,
            "no method": 25,
            "no session": 27,
            "no model": 29,
        },
    ),
    "0.8": (
        "upstream-agent-0.8-typed",
        {
            "session": 1,
            "refused": 7,
            "path": 9,
            "upload": 13,
            "run": 19,
            "profile": 25,
            "no method": 29,
            "no session": 31,
            "no model": 33,
        },
    ),
}
#: What these answers name: the session, and the models registered by a path on the agent's disk and by an upload.
SESSION, FROM_PATH, FROM_UPLOAD = 1, 2, 4
_ON_DISK = "affine.pt"


def three_logits(inputs: Sequence[Any]) -> list[Tensor]:
    """Outputs of a model: the last of three classes, the surer the more tokens a text has."""
    return [from_values("float32", (1, 3), [0, 1, inputs[0].dims[1]])]


class UpstreamAgent:
    """An `Answer` in recorded bytes, by what is asked: a session, the file ``affine.pt`` on its disk, uploads, runs, an empty profile.

    ``outputs``: what the model gives for its inputs; the noop plugin of the recordings gives back the first. ``uploads``: the bytes
    of each upload that it accepted.
    """

    def __init__(self, build: Build = "0.8", outputs: Callable[[Sequence[Any]], Sequence[Tensor]] | None = None) -> None:
        version = _MESSAGES[build]
        self._build, self._outputs, self._messages = build, outputs, dialect(version)
        name, streams = _RECORDED[version]
        answers = {frame.stream: bytes(frame.data) for frame in recording(name).frames("agent")}
        self._recorded = {what: answers[stream] for what, stream in streams.items()}
        self._service = next(iter(self._messages.services))
        self._methods = {
            "CreateSession": lambda _: self._recorded["session"],
            "RegisterResource": self._register,
            self._messages.methods["profile"].name: lambda _: self._recorded["profile"],
            "TorchModelRun" if build in _MODEL_RUN else "TorchJitloadForward": self._run,
            **({"TorchModelLoad": lambda _: self._recorded["no model"]} if build in _MODEL_RUN else {}),
        }
        self.uploads: list[bytes] = []

    def __call__(self, stream: int, request: Request) -> bytes:  # noqa: ARG002 as an `Answer`
        """The answer to a call."""
        if request.service == self._service and request.method in self._methods:
            return self._methods[request.method](request.payload)
        unknown = Response.FromString(self._recorded["no method"])
        unknown.status.message = f"/{request.service}/{request.method} does not exist"
        return unknown.SerializeToString()

    def _register(self, payload: bytes) -> bytes:
        if self._build in _BLOBS:
            request = resource_pb2.RegisterRequest.FromString(payload)
            data = b"".join(blob.data for blob in request.blobs if blob.type_ == resource_pb2.MAPPED)
        else:
            request = self._messages.methods["register"].request.FromString(payload)
            data = b"".join(file.data for file in request.files)
        if data:
            self.uploads.append(data)
        return self._recorded["upload" if data else "path" if [*request.paths] == [_ON_DISK] else "refused"]

    def _run(self, payload: bytes) -> bytes:
        method = self._messages.methods["run"]
        request = method.request.FromString(payload)
        if request.session_id != SESSION:
            return self._recorded["no session"]
        if request.model_id not in (FROM_PATH, FROM_UPLOAD):
            return self._recorded["no model"]
        if self._outputs is None:
            return self._recorded["run"]
        outputs = [
            self._messages.tensor(data=bytes(tensor.data), dims=tensor.dims, type=DTYPES[tensor.dtype][0])
            for tensor in self._outputs(request.in_tensors)
        ]
        # As upstream's: a good answer begins with an empty status.
        return b"\x0a\x00" + Response(payload=method.reply(out_tensors=outputs).SerializeToString()).SerializeToString()
