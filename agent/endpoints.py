"""The one table of methods in both dialects, and how their requests are decoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from vaccel_rpc.dialects import Dialect, Method, dialect
from vaccel_rpc.errors import InvalidArgument, RpcError
from vaccel_rpc.proto.ttrpc_pb2 import Status
from vaccel_rpc.status import to_status
from vaccel_rpc.tensorfields import IN_TENSORS
from vaccel_rpc.tensorfields import decode as decode_tensors
from vaccel_rpc.wire import WireError, cut

Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True)
class Endpoint:
    """A method as it is named on the wire. ``operation``: its name in the dialect's table."""

    service: str
    dialect: Dialect
    operation: str
    method: Method


def endpoints() -> dict[str, Endpoint]:
    """Every endpoint, by ``service/method``."""
    return {
        f"{service}/{method.name}": Endpoint(service, version, operation, method)
        for version in (dialect("0.7"), dialect("0.8"))
        for service, streams in version.services.items()
        for operation, method in version.methods.items()
        if streams or not method.streams
    }


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
        return endpoint.method.request.FromString(payload), blobs
    except (DecodeError, WireError) as error:
        raise InvalidArgument(f"the payload is not a valid {endpoint.method.request.DESCRIPTOR.full_name}: {error}") from None


def error_status(endpoint: Endpoint | None, error: RpcError) -> Status:
    """An error as a status, in the dialect of the method that was called."""
    return to_status(error, endpoint.dialect.version if endpoint else "0.8")
