"""Tensors in the two messages that carry them, held against what protobuf makes and reads of the same."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from vaccel_common import modelfile
from vaccel_common.protowire import WireError
from vaccel_rpc.dialects import Version, dialect
from vaccel_rpc.tensorfields import IN_TENSORS, LARGE, OUT_TENSORS, decode, encode
from vaccel_rpc.tensors import DTYPES, Tensor

VERSIONS: list[Version] = ["0.7", "0.8"]
#: Small and large, at the limit and around it.
SIZES = st.sampled_from([0, 1, 7, LARGE - 1, LARGE, LARGE + 1, 3 * LARGE])
TENSORS = st.lists(
    st.builds(
        lambda size, dims, dtype, view: Tensor(dtype, tuple(dims), memoryview(bytes(size)) if view else bytes(range(5)) * (size // 5)),
        SIZES, st.lists(st.integers(0, 2**40), max_size=4), st.sampled_from(sorted(DTYPES)), st.booleans(),
    ),
    max_size=4,
)  # fmt: skip


def protobuf_bytes(message: Any, field: str, make: Any, tensors: list[Tensor]) -> bytes:
    """As protobuf does it."""
    for tensor in tensors:
        getattr(message, field).append(make(data=bytes(tensor.data), dims=tensor.dims, type=DTYPES[tensor.dtype][0]))
    data: bytes = message.SerializeToString()
    return data


@pytest.mark.parametrize("version", VERSIONS)
@given(tensors=TENSORS, session=st.integers(0, 2**62))
def test_the_parts_are_the_message(version: Version, tensors: list[Tensor], session: int) -> None:
    """Put together, they parse to the same request as protobuf's own bytes."""
    own = dialect(version)
    kind = own.methods["run"].request
    parts = encode(kind(session_id=session, model_id=2), IN_TENSORS, own.tensor, tensors)
    expected = protobuf_bytes(kind(session_id=session, model_id=2), "in_tensors", own.tensor, tensors)
    assert kind.FromString(b"".join(parts)) == kind.FromString(expected)
    assert all(len(part) for part in parts[1:])


@pytest.mark.parametrize("version", VERSIONS)
@given(tensors=TENSORS)
def test_what_is_read_is_what_was_written(version: Version, tensors: list[Tensor]) -> None:
    """From protobuf's bytes: the message, and of a large one each tensor's data in order, from where it lies."""
    own = dialect(version)
    kind = own.methods["run"].reply
    payload = bytearray(protobuf_bytes(kind(), "out_tensors", own.tensor, tensors))
    reply, blobs = decode(kind, OUT_TENSORS, payload)
    assert bool(blobs) == (len(payload) >= LARGE)
    assert [tuple(tensor.dims) for tensor in reply.out_tensors] == [tensor.dims for tensor in tensors]
    data_parts = blobs or [tensor.data for tensor in reply.out_tensors]
    assert [bytes(data) for data in data_parts] == [bytes(tensor.data) for tensor in tensors]


@given(st.binary(min_size=1, max_size=60))
def test_what_is_no_message_is_an_error(piece: bytes) -> None:
    """Of the kinds that callers expect, or it happens to be one."""
    payload = piece * (LARGE // len(piece) + 1)
    try:
        decode(dialect("0.8").methods["run"].reply, OUT_TENSORS, payload)
    except (DecodeError, WireError):
        return


def test_a_model_file_and_the_protocol_name_the_same_types() -> None:
    """Every dtype that a signature may name travels, and every one that travels may be named."""
    assert set(modelfile.DTYPES) == set(DTYPES)
