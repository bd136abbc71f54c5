"""Taking large fields out of protobuf messages without parsing them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaccel_common.protowire import WireError
from vaccel_rpc.proto.dialect08.resource_pb2 import Blob, RegisterRequest
from vaccel_rpc.proto.ttrpc_pb2 import Request
from vaccel_rpc.wire import MAX_FIELDS, cut, field_head, varint


@given(st.binary(), st.text(max_size=20), st.integers(-(2**63), 2**63 - 1))
def test_cut_takes_the_field_and_leaves_the_rest(payload: bytes, service: str, timeout: int) -> None:
    """What protobuf reads from the whole is what it reads from the rest, and the field is the field."""
    message = Request(service=service, payload=payload, timeout_nano=timeout)
    rest, views = cut(message.SerializeToString(), 3)
    assert b"".join(views) == payload
    assert Request.FromString(rest) == Request(service=service, timeout_nano=timeout)


@given(st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=300)), max_size=4))
def test_cut_reaches_into_repeated_messages(files: list[tuple[str, bytes]]) -> None:
    """Each inner message gives one view, an empty one where the field is not set."""
    message = RegisterRequest(blobs=[Blob(name=name, data=data) for name, data in files], session_id=7)
    rest, views = cut(message.SerializeToString(), 2, 3)
    assert [bytes(data) for data in views] == [data for _, data in files]
    assert RegisterRequest.FromString(rest) == RegisterRequest(blobs=[Blob(name=name) for name, _ in files], session_id=7)


@given(st.binary(max_size=60))
def test_any_bytes_are_cut_or_refused(data: bytes) -> None:
    """What is no message raises WireError and nothing else."""
    try:
        cut(data, 2, 3)
    except WireError:
        pass


@pytest.mark.parametrize("inner", [0, 1, MAX_FIELDS // 2, MAX_FIELDS - 1])
def test_a_message_of_too_many_fields_is_refused(inner: int) -> None:
    """At the limit it is cut, and with one field more refused, wherever the fields are."""
    nested = field_head(2, 2 * inner) + b"\x20\x01" * inner
    accepted = nested + b"\x20\x01" * (MAX_FIELDS - 1 - inner)
    assert cut(accepted, 2, 3)[0] == accepted
    with pytest.raises(WireError, match="more than 65536 fields"):
        cut(accepted + b"\x20\x01", 2, 3)


@pytest.mark.parametrize(("value", "encoded"), [(0, "00"), (127, "7f"), (128, "8001"), (2**64 - 1, "ffffffffffffffffff01")])
def test_varint(value: int, encoded: str) -> None:
    """A varint has seven bits in a byte, the lowest first."""
    assert varint(value).hex() == encoded
