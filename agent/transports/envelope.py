"""What the data of a client's ttrpc request frame holds."""

from __future__ import annotations

from google.protobuf.message import DecodeError

from vaccel_common.protowire import WireError
from vaccel_rpc.errors import InvalidArgument
from vaccel_rpc.proto.ttrpc_pb2 import Request
from vaccel_rpc.tensorfields import LARGE
from vaccel_rpc.wire import cut


def request_of(data: bytes | bytearray | memoryview) -> tuple[Request, bytes | memoryview]:
    """The ttrpc.Request, and its payload, which is not copied where it is large. Raises `InvalidArgument`."""
    try:
        if len(data) < LARGE:
            request = Request.FromString(data)  # type: ignore[arg-type] # it takes any buffer
            return request, request.payload
        head, payloads = cut(data, 3)
        return Request.FromString(head), payloads[0] if payloads else b""
    except (DecodeError, WireError) as error:
        raise InvalidArgument(f"the frame is not a valid ttrpc.Request: {error}") from None
