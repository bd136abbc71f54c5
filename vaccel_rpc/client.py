"""A client of vAccel's operations over a channel, in any dialect."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from google.protobuf.message import DecodeError

from vaccel_common.protowire import WireError
from vaccel_common.records import record
from vaccel_rpc.channels import CLOSED, Channel, PendingReply
from vaccel_rpc.dialects import Profile, Version, dialect
from vaccel_rpc.errors import Internal, InvalidArgument, Unimplemented
from vaccel_rpc.tensorfields import IN_TENSORS, OUT_TENSORS, decode, encode
from vaccel_rpc.tensors import Tensor, check, dtype_name
from vaccel_rpc.wire import Parts, nested

_MODEL = 2
#: Bytes of an argument in one message of a GenopStream.
_PART = 1 << 20

#: Arguments of a generic operation.
Args = Sequence[bytes]

T = TypeVar("T")


@record
class PendingResult(Generic[T]):
    """The result of an operation that was sent."""

    reply: PendingReply
    decode: Callable[[Any], T]

    @property
    def arrived(self) -> int | None:
        """When it was there; see `vaccel_rpc.channels.PendingReply`."""
        return self.reply.arrived

    def result(self) -> T:
        """Waits for the result.

        Raises the operation's `RpcError`; `DeadlineExceeded` at the deadline.
        """
        return self.decode(self.reply.result())


@record
class Timings:
    """The seconds that a run waited in the agent's queue and ran in the model; its batch's rows."""

    queue: float
    forward: float
    rows: int


@dataclass(frozen=True)
class Variant:
    """A variant of a model: its precision (int8, bf16) and its file's sha256."""

    precision: str
    sha256: str


@record
class RunResult:
    """A run's outputs; if requested, its times, and the variant that ran if the model was one.

    ``model``: the sha256 of the model, where it was registered by a name and the agent tells it.
    """

    outputs: list[Tensor]
    timings: Timings | None = None
    variant: Variant | None = None
    model: str | None = None


class VaccelClient:
    """The operations of one connection.

    Every method has a ``timeout`` in seconds (None: no limit) and raises `RpcError`.
    """

    def __init__(self, channel: Channel, version: Version = "0.8") -> None:
        self.channel = channel
        self._dialect = dialect(version)
        services = [*self._dialect.services]
        self._service, self._stream_service = services[0], services[-1]

    @property
    def version(self) -> Version:
        """The dialect in which it speaks."""
        return self._dialect.version

    @property
    def service(self) -> str:
        """The service that it calls, by its name on the wire."""
        return self._service

    @property
    def run_method(self) -> tuple[str, str]:
        """Service and method of its runs, by their names on the wire."""
        return self._service, self._dialect.methods["run"].name

    def close(self, why: str = CLOSED) -> None:
        """Ends the connection; over ttrpc, its sessions end with it. ``why``: see `vaccel_rpc.channels.Channel`."""
        self.channel.close(why)

    def create_session(self, flags: int = 0, timeout: float | None = None, metadata: Mapping[str, str] | None = None) -> int:
        """Creates a session; returns its id. ``metadata`` is sent along."""
        reply = self._start("create_session", timeout, metadata, flags=flags).result()
        session: int = reply.session_id
        return session

    def update_session(self, session: int, flags: int, timeout: float | None = None) -> None:
        """Sets a session's flags."""
        self._call("update_session", timeout, session_id=session, flags=flags)

    def destroy_session(self, session: int, timeout: float | None = None) -> None:
        """Ends a session, and drops its references to resources."""
        self._call("destroy_session", timeout, session_id=session)

    def register_path(self, session: int, path: str, timeout: float | None = None) -> int:
        """Registers a model of the agent's store; returns the resource's id.

        ``path``: ``NAME``, ``NAME.pt``, ``sha256:HEX`` or ``file:///...``.
        """
        return self.register_paths(session, [path], timeout)

    def register_paths(
        self, session: int, paths: Sequence[str], timeout: float | None = None, metadata: Mapping[str, str] | None = None
    ) -> int:
        """Registers a model of several files by a path for each; returns the resource's id."""
        return self._registered(self._start("register", timeout, metadata, **self._resource(session), paths=paths))

    def register_bytes(self, session: int, data: bytes | memoryview, name: str = "model.pt", timeout: float | None = None) -> int:
        """Uploads a model file, without copying it; returns the resource's id."""
        return self.register_files(session, [(name, data)], timeout)

    def register_files(self, session: int, files: Sequence[tuple[str, bytes | memoryview]], timeout: float | None = None) -> int:
        """Uploads a model of several files, each a name and its bytes; returns the resource's id."""
        outer, inner = self._dialect.blob_path
        payload = [self._dialect.methods["register"].request(**self._resource(session)).SerializeToString()]
        for name, data in files:
            fields = self._dialect.blob(name=name, size=len(data), **self._dialect.blob_kind)
            payload += nested(outer, fields.SerializeToString(), inner, data)
        return self._registered(self._send("register", timeout, payload))

    def register_again(self, session: int, resource: int, timeout: float | None = None) -> None:
        """Registers a resource of this connection with one more session."""
        self._call("register", timeout, session_id=session, resource_id=resource, resource_type=_MODEL)

    def unregister(self, session: int, resource: int, timeout: float | None = None) -> None:
        """Drops the session's reference to a resource."""
        self._call("unregister", timeout, session_id=session, resource_id=resource)

    def sync(self, resource: int, timeout: float | None = None) -> bytes:
        """The bytes that this client uploaded as ``resource``. Dialect 0.7 has no such method."""
        return self.sync_files(resource, timeout)[0][1]

    def sync_files(self, resource: int, timeout: float | None = None) -> list[tuple[str, bytes]]:
        """Name and bytes of each file that this client uploaded as ``resource``."""
        blobs = self._call("sync", timeout, resource_id=resource).blobs
        if not blobs:
            raise Internal("the agent's reply has no blob")
        return [(blob.name, blob.data) for blob in blobs]

    def load(self, session: int, model: int, timeout: float | None = None) -> None:
        """Loads a registered model now, not at its first run.

        Dialect 0.7 has no such method: no effect.
        """
        if "load" in self._dialect.methods:
            self._call("load", timeout, session_id=session, model_id=model)

    def run(self, session: int, model: int, inputs: Sequence[Tensor], outputs: int, timeout: float | None = None) -> list[Tensor]:
        """The model's ``outputs`` tensors for these inputs."""
        return self.start_run(session, model, inputs, outputs, timeout).result().outputs

    def start_run(
        self,
        session: int,
        model: int,
        inputs: Sequence[Tensor],
        outputs: int,
        timeout: float | None = None,
        metadata: Mapping[str, str] | None = None,
        done: Callable[[], None] | None = None,
    ) -> PendingResult[RunResult]:
        """Sends a run without waiting for it.

        ``metadata`` is sent along (`vaccel_rpc.extensions`). ``done``: see
        `vaccel_rpc.channels.Channel.start`.
        """
        method = self._dialect.methods["run"]
        request = method.request(**{"session_id": session, "model_id": model, self._dialect.outputs: outputs})
        payload = encode(request, IN_TENSORS, self._dialect.tensor, inputs)
        reply = self.channel.start(self._service, method.name, payload, timeout, metadata, done)
        return PendingResult(reply, lambda data: _run_result(method.reply, data))

    def classify_image(self, session: int, image: bytes, timeout: float | None = None) -> str:
        """The label that the session's model gives an image, the bytes of a JPEG or PNG file."""
        tags: bytes = self._call("classify_image", timeout, session_id=session, image=image).tags
        return tags.partition(b"\0")[0].decode(errors="replace")

    def genop(self, session: int, read: Args, write: Args = (), timeout: float | None = None) -> list[bytes]:
        """Runs the generic operation whose number is ``read[0]``; returns what it wrote."""
        read_args = [self._arg(value, opcode=i == 0) for i, value in enumerate(read)]
        write_args = [self._arg(value) for value in write]
        reply = self._call("genop", timeout, session_id=session, read_args=read_args, write_args=write_args)
        return [arg.buf for arg in reply.write_args]

    def genop_stream(self, session: int, read: Args, write: Args = (), timeout: float | None = None) -> list[bytes]:
        """As `genop`, with arguments of any size, sent in parts."""
        method = self._dialect.methods["genop_stream"]
        requests = (request.SerializeToString() for request in self._parts(session, read, write))
        reply = self.channel.stream(self._stream_service, method.name, requests, timeout)
        return [arg.buf for arg in _decode(method.reply, reply.result()).write_args]

    def opcode(self, number: int) -> bytes:
        """A generic operation's number as this dialect's first argument."""
        return number.to_bytes(self._dialect.opcode_size, "little")

    def profile(self, session: int, timeout: float | None = None) -> Profile:
        """The session's profile: region -> (start, duration) in nanoseconds."""
        return self._dialect.profile_of(self._call("profile", timeout, session_id=session))

    def _resource(self, session: int) -> dict[str, int]:
        return {"session_id": session, "resource_id": self._dialect.new_resource, "resource_type": _MODEL}

    def _arg(self, value: bytes, *, opcode: bool = False, **fields: int) -> Any:
        kind = self._dialect.opcode_type if opcode else 0
        return self._dialect.arg(buf=value, **{"size": len(value), self._dialect.arg_type: kind, **fields})

    def _parts(self, session: int, read: Args, write: Args) -> Iterator[Any]:
        make = self._dialect.methods["genop_stream"].request
        yield make(session_id=session)
        for field, values in (("read_args", read), ("write_args", write)):
            for i, value in enumerate(values):
                pieces = [value[start : start + _PART] for start in range(0, len(value), _PART)] or [b""]
                for number, piece in enumerate(pieces, 1):
                    opcode = field == "read_args" and i == 0
                    arg = self._arg(piece, opcode=opcode, size=len(value), parts=len(pieces), part_no=number)
                    yield make(session_id=session, **{field: [arg]})

    def _registered(self, reply: PendingResult[Any]) -> int:
        resource: int = reply.result().resource_id
        return resource

    def _call(self, operation: str, timeout: float | None, **fields: Any) -> Any:
        return self._start(operation, timeout, **fields).result()

    def _start(
        self, operation: str, timeout: float | None, metadata: Mapping[str, str] | None = None, **fields: Any
    ) -> PendingResult[Any]:
        if operation not in self._dialect.methods:
            raise Unimplemented(f"dialect {self._dialect.version} has no {operation}")
        return self._send(operation, timeout, [self._dialect.methods[operation].request(**fields).SerializeToString()], metadata)

    def _send(
        self, operation: str, timeout: float | None, payload: Parts, metadata: Mapping[str, str] | None = None
    ) -> PendingResult[Any]:
        method = self._dialect.methods[operation]
        reply = self.channel.start(self._service, method.name, payload, timeout, metadata)
        return PendingResult(reply, lambda data: _decode(method.reply, data))


def _decode(kind: Any, data: bytes | bytearray | memoryview) -> Any:
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise Internal(f"the agent's reply is not a valid {kind.DESCRIPTOR.full_name}: {error}") from None


def _run_result(kind: Any, data: bytes | bytearray | memoryview) -> RunResult:
    try:
        reply, blobs = decode(kind, OUT_TENSORS, data)
    except (DecodeError, WireError) as error:
        raise Internal(f"the agent's reply is not a valid {kind.DESCRIPTOR.full_name}: {error}") from None
    outputs = [_tensor(tensor, blobs[i] if blobs else tensor.data) for i, tensor in enumerate(reply.out_tensors)]
    if not reply.HasField("timings"):
        return RunResult(outputs)
    timings = Timings(reply.timings.queue / 1e9, reply.timings.forward / 1e9, reply.timings.rows)
    variant = Variant(reply.variant.precision, reply.variant.sha256) if reply.HasField("variant") else None
    return RunResult(outputs, timings, variant, reply.model_sha256 or None)


def _tensor(message: Any, data: bytes | memoryview) -> Tensor:
    try:
        tensor = Tensor(dtype_name(message.type, "the agent's reply"), tuple(message.dims), data)
        check(tensor, "the agent's reply")
    except InvalidArgument as error:
        # The agent's mistake, not the caller's.
        raise Internal(error.message) from None
    return tensor
