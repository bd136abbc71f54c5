"""The one table of methods in all dialects, and how their requests are decoded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from google.protobuf.message import DecodeError

from vaccel_common.protowire import WireError, fields
from vaccel_rpc.dialects import Dialect, Method, Version, dialect
from vaccel_rpc.dialects.telling import DISTINCTIONS, SpokenVersions
from vaccel_rpc.errors import InvalidArgument, RpcError
from vaccel_rpc.proto.ttrpc_pb2 import Status
from vaccel_rpc.status import to_status
from vaccel_rpc.tensorfields import IN_TENSORS
from vaccel_rpc.tensorfields import decode as decode_tensors
from vaccel_rpc.wire import cut

Buffer = bytes | bytearray | memoryview

#: Where two dialects share a method, the first is that of a message that does not tell its dialect.
_VERSIONS: tuple[Version, ...] = ("0.7", "0.8", "2025-07", "2025-08")

#: Arguments of a generic operation, of which upstream's programs have a few. Millions, of two bytes
#: each, would keep the agent busy for minutes.
MAX_ARGS = 1024


@dataclass(frozen=True)
class Endpoint:
    """A method as it is named on the wire.

    ``operation``: its name in the dialect's table. ``other``: the same method with the messages of
    another dialect, where there is one.
    """

    service: str
    dialect: Dialect
    operation: str
    method: Method
    other: Endpoint | None = None


def endpoints() -> dict[str, Endpoint]:
    """Every endpoint, by ``service/method``."""
    table: dict[str, Endpoint] = {}
    for endpoint in (endpoint for version in _VERSIONS for endpoint in _endpoints(dialect(version))):
        name = f"{endpoint.service}/{endpoint.method.name}"
        first = table.setdefault(name, endpoint)
        if first.method != endpoint.method:
            table[name] = replace(first, other=endpoint)
    return table


def _endpoints(version: Dialect) -> list[Endpoint]:
    return [
        Endpoint(service, version, operation, method)
        for service, streams in version.services.items()
        for operation, method in version.methods.items()
        if streams or not method.streams
    ]


def spoken(endpoint: Endpoint, told: SpokenVersions, payload: Buffer) -> Endpoint | None:
    """The endpoint in the dialect of a request; None where nothing tells which it is.

    ``told``: what earlier requests of the client told; what this one tells is added. Raises
    `InvalidArgument`.
    """
    if endpoint.other is None:
        return endpoint
    distinction = DISTINCTIONS[endpoint.operation]
    try:
        version = distinction.told(payload, told.get(distinction.versions))
    except WireError as error:
        raise _undecodable(endpoint, error) from None
    except InvalidArgument as error:
        raise InvalidArgument(f"{endpoint.method.name}: {error.message}") from None
    if version is None:
        return None
    told[distinction.versions] = version
    return endpoint if version == endpoint.dialect.version else endpoint.other


def decode(endpoint: Endpoint, payload: Buffer) -> tuple[Any, list[memoryview]]:
    """A request without its large bytes, and the large bytes: an upload's, or each tensor's.

    Raises `InvalidArgument`.
    """
    try:
        blobs: list[memoryview] = []
        if endpoint.operation == "run":
            return decode_tensors(endpoint.method.request, IN_TENSORS, payload)
        if endpoint.operation == "register":
            payload, blobs = cut(payload, *endpoint.dialect.blob_path)
        if endpoint.operation in ("genop", "genop_stream"):
            _check_count(payload)
        return endpoint.method.request.FromString(payload), blobs
    except (DecodeError, WireError) as error:
        raise _undecodable(endpoint, error) from None


def too_many_args() -> InvalidArgument:
    """The error for a generic operation of too many arguments."""
    return InvalidArgument(f"a generic operation has at most {MAX_ARGS} arguments")


def _check_count(payload: Buffer) -> None:
    """Raises `InvalidArgument` for too many arguments, before they are decoded."""
    # One field is the session.
    if sum(1 for _ in islice(fields(memoryview(payload)), MAX_ARGS + 2)) > MAX_ARGS + 1:
        raise too_many_args()


def error_status(endpoint: Endpoint | None, error: RpcError) -> Status:
    """An error as a status, in the dialect of the method that was called."""
    return to_status(error, endpoint.dialect.version if endpoint else "0.8")


def _undecodable(endpoint: Endpoint, error: Exception) -> InvalidArgument:
    return InvalidArgument(f"the payload is not a valid {endpoint.method.request.DESCRIPTOR.full_name}: {error}")
