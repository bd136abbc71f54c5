"""The one method table: what a ``service/method`` on the wire means, in both dialects, and how its request is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from vaccel_rpc.dialects import Dialect, Method, dialect
from vaccel_rpc.errors import InvalidArgument, RpcError
from vaccel_rpc.status import to_status
from vaccel_rpc.tensorfields import IN_TENSORS
from vaccel_rpc.tensorfields import decode as decode_tensors
from vaccel_rpc.wire import WireError, cut

Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True)
class Endpoint:
    """What a ``service/method`` on the wire means."""

    service: str
    dialect: Dialect
    operation: str
    method: Method


def endpoints() -> dict[str, Endpoint]:
    """Every endpoint, by ``service/method``."""
    return {
        f"{service}/{method.name}": Endpoint(service, known, operation, method)
        for known in (dialect("0.7"), dialect("0.8"))
        for service, streams in known.services.items()
        for operation, method in known.methods.items()
        if streams or not method.streams
    }


def decode(endpoint: Endpoint, payload: Buffer) -> tuple[Any, list[memoryview]]:
    """A request without its large bytes, and those: of an upload, or of each tensor. Raises `InvalidArgument`."""
    try:
        blobs: list[memoryview] = []
        if endpoint.operation == "run":
            return decode_tensors(endpoint.method.request, IN_TENSORS, payload)
        if endpoint.operation == "register":
            payload, blobs = cut(payload, *endpoint.dialect.blob_path)
        return endpoint.method.request.FromString(payload), blobs
    except (DecodeError, WireError) as error:
        raise InvalidArgument(f"the payload is no {endpoint.method.request.DESCRIPTOR.full_name}: {error}") from None


def error_status(endpoint: Endpoint | None, error: RpcError) -> Any:
    """The status that travels for an error, in the dialect of the method that was called."""
    return to_status(error, endpoint.dialect.version if endpoint else "0.8")
