"""What the dialects call things: services, methods and field numbers, and a caller that takes the usual steps."""

from __future__ import annotations

import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tests.support.peers import wire

LIB, DATA_FILE, MODEL = 0, 1, 2
UINT8, INT8, INT16, INT32, INT64, FLOAT16, FLOAT32 = 1, 2, 3, 4, 5, 6, 7


@dataclass(frozen=True)
class RawTensor:
    """Little-endian bytes in C order, dims, and a number of the DataType enum."""

    data: bytes
    dims: tuple[int, ...]
    type: int

    def encode(self) -> bytes:
        """The message, with dims packed."""
        return wire.message((1, self.data), (2, wire.packed(self.dims)), (3, self.type))

    def numbers(self) -> list[float]:
        """The values of a float32 tensor."""
        assert self.type == FLOAT32, f"type {self.type}, float32 (7) was expected"
        return list(array.array("f", self.data))


def decode_tensor(data: bytes) -> RawTensor:
    """A tensor from its message."""
    fields = wire.decode(data)
    dims = [dim for part in wire.blobs(fields, 2) for dim in wire.unpacked(part)]
    return RawTensor(wire.blob(fields, 1), tuple(dims), wire.integer(fields, 3))


def decode_outputs(payload: bytes) -> list[RawTensor]:
    """The tensors in a run's answer."""
    return [decode_tensor(data) for data in wire.blobs(wire.decode(payload), 1)]


def int64(values: Sequence[int], *dims: int) -> RawTensor:
    """An int64 tensor; without dims it is [1, len(values)], a batch of one text."""
    return RawTensor(array.array("q", values).tobytes(), dims or (1, len(values)), INT64)


@dataclass(frozen=True)
class DialectNames:
    """One service name with its messages; the fields say what differs between the dialects."""

    service: str
    run_method: str
    new_resource: int
    error_type: str
    opcode_bytes: int
    profile_method: str
    blob_fields: tuple[int, int, int]
    arg_fields: tuple[int, int, int, int]
    arg_type_field: int = 1

    def register(
        self,
        session: int,
        *,
        paths: Sequence[str] = (),
        blobs: Sequence[bytes] = (),
        kind: int = MODEL,
        resource: int | None = None,
        name: str = "model.pt",
    ) -> bytes:
        """A register request; ``resource`` is an existing one, else the dialect's word for a new one."""
        name_field, data_field, size_field = self.blob_fields
        path_fields = [(1, path) for path in paths]
        bytes_given = [(2, wire.message((name_field, name), (data_field, data), (size_field, len(data)))) for data in blobs]
        return wire.message(
            *path_fields, *bytes_given, (3, kind), (4, self.new_resource if resource is None else resource), (5, session)
        )

    def run(self, session: int, model: int, tensors: Sequence[RawTensor], outputs: int = 1) -> bytes:
        """A run request."""
        return wire.message((1, session), (2, model), *[(4, tensor.encode()) for tensor in tensors], (5, outputs))

    def arg(self, data: bytes, *, size: int | None = None, parts: int = 0, part: int = 0, kind: int = 0) -> bytes:
        """A genop argument, whole or one part of ``parts``; ``size`` is the whole argument's. Zeros are not sent."""
        buf_field, size_field, parts_field, part_field = self.arg_fields
        numbers = {
            size_field: len(data) if size is None else size,
            parts_field: parts,
            part_field: part,
            self.arg_type_field: kind,
        }
        sent = [(field, number) for field, number in numbers.items() if number]
        return wire.message(*([(buf_field, data)] if data else []), *sent)

    def opcode(self, number: int) -> bytes:
        """The argument that names a genop's operation."""
        return self.arg(number.to_bytes(self.opcode_bytes, "little"))

    def genop(self, session: int, *read_args: bytes, write_args: Sequence[bytes] = ()) -> bytes:
        """A genop request."""
        return wire.message((1, session), *[(2, arg) for arg in read_args], *[(3, arg) for arg in write_args])


def _current(service: str) -> DialectNames:
    return DialectNames(
        service=service,
        run_method="TorchModelRun",
        new_resource=0,
        error_type="type.googleapis.com/vaccel.ProtoError",
        opcode_bytes=1,
        profile_method="GetProfiler",
        blob_fields=(2, 3, 4),
        arg_fields=(1, 2, 5, 6),
        arg_type_field=3,
    )


SYNC_08 = _current("vaccel.sync.agent.AgentService")
ASYNC_08 = _current("vaccel.asynchronous.agent.AgentService")
OLD_07 = DialectNames(
    service="vaccel.AgentService",
    run_method="TorchJitloadForward",
    new_resource=-1,
    error_type="type.googleapis.com/vaccel.VaccelError",
    opcode_bytes=4,
    profile_method="GetTimers",
    blob_fields=(1, 4, 5),
    arg_fields=(3, 2, 4, 5),
)
#: Builds of upstream's main branch from 2025-07-17 to 08-04; those from 06-30 on ran by 0.7's TorchJitloadForward.
JULY = replace(OLD_07, run_method="TorchModelRun", blob_fields=SYNC_08.blob_fields)
#: Builds of it from 2025-08-04 to 10-19.
AUGUST_SYNC = replace(SYNC_08, arg_fields=OLD_07.arg_fields, arg_type_field=1)
AUGUST_ASYNC = replace(AUGUST_SYNC, service=ASYNC_08.service)
DIALECTS = {"0.8 sync": SYNC_08, "0.8 asynchronous": ASYNC_08, "0.7": OLD_07, "2025-07": JULY}

#: service, method, payload -> payload; raises for any status but OK.
Call = Callable[[str, str, bytes], bytes]


@dataclass(frozen=True)
class Steps:
    """The usual calls in one dialect, over any transport."""

    call: Call
    dialect: DialectNames

    def _call(self, method: str, payload: bytes) -> wire.Fields:
        return wire.decode(self.call(self.dialect.service, method, payload))

    def create_session(self) -> int:
        """A new session's id."""
        return wire.integer(self._call("CreateSession", wire.message((1, 0))), 1)

    def update_session(self, session: int) -> None:
        """Changes a session's flags."""
        self._call("UpdateSession", wire.message((1, session), (2, 1)))

    def destroy_session(self, session: int) -> None:
        """Ends a session."""
        self._call("DestroySession", wire.message((1, session)))

    def register_bytes(self, session: int, data: bytes) -> int:
        """Registers a model by its bytes; the resource's id."""
        return wire.integer(self._call("RegisterResource", self.dialect.register(session, blobs=[data])), 1)

    def register_path(self, session: int, path: str) -> int:
        """Registers a model by name, digest or path; the resource's id."""
        return wire.integer(self._call("RegisterResource", self.dialect.register(session, paths=[path])), 1)

    def share(self, session: int, resource: int) -> int:
        """Registers an existing resource with one more session; the resource's id."""
        return wire.integer(self._call("RegisterResource", self.dialect.register(session, resource=resource)), 1)

    def unregister(self, session: int, resource: int) -> None:
        """Drops a session's reference to a resource."""
        self._call("UnregisterResource", wire.message((1, resource), (2, session)))

    def run(self, session: int, model: int, tensors: Sequence[RawTensor], outputs: int = 1) -> list[RawTensor]:
        """Runs a model; its outputs."""
        payload = self.dialect.run(session, model, tensors, outputs)
        return decode_outputs(self.call(self.dialect.service, self.dialect.run_method, payload))
