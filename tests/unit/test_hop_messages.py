"""Small messages are read whole, large ones cut: what is read is what protobuf's own classes say."""

from __future__ import annotations

import contextlib

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from agent.transports.envelope import request_of
from vaccel_rpc.channels.ttrpc import _payload
from vaccel_rpc.errors import InvalidArgument, RpcError
from vaccel_rpc.proto.ttrpc_pb2 import KeyValue, Request, Response, Status
from vaccel_rpc.tensorfields import LARGE

PAYLOADS = st.binary(max_size=200) | st.binary(max_size=40).map(lambda some: some.ljust(LARGE, b"x"))
STATUSES = st.none() | st.builds(Status, code=st.integers(0, 20), message=st.text(max_size=10))
PAIRS = st.lists(st.builds(KeyValue, key=st.text(max_size=5), value=st.text(max_size=5)), max_size=3)


@given(st.text(max_size=30), st.text(max_size=30), PAYLOADS, st.integers(0, 2**62), PAIRS)
def test_a_request(service: str, method: str, payload: bytes, timeout: int, metadata: list[KeyValue]) -> None:
    """Any request is read as protobuf would read it, and its payload is not copied into the message."""
    request = Request(service=service, method=method, payload=payload, timeout_nano=timeout, metadata=metadata)
    parsed, held = request_of(bytearray(request.SerializeToString()))
    assert bytes(held) == payload
    parsed.payload = payload
    assert parsed == request


@given(STATUSES, PAYLOADS)
def test_a_response(status: Status | None, payload: bytes) -> None:
    """Any response gives its payload, or the error that its status says."""
    response = bytearray(Response(status=status, payload=payload).SerializeToString())
    if status and status.code:
        with pytest.raises(RpcError) as raised:
            _payload(response)
        assert raised.value.message == status.message
    else:
        assert bytes(_payload(response)) == payload


@given(st.binary(max_size=60), st.booleans())
def test_any_bytes(junk: bytes, large: bool) -> None:
    """Read as protobuf reads them, or refused as it refuses them; behind a large field, too."""
    data = junk + Request(payload=bytes(LARGE)).SerializeToString() if large else junk
    with contextlib.suppress(DecodeError):
        expected = Request.FromString(data)
        with contextlib.suppress(InvalidArgument):
            parsed, held = request_of(data)
            parsed.payload = bytes(held)
            assert parsed == expected
        return
    with pytest.raises(InvalidArgument):
        request_of(data)
