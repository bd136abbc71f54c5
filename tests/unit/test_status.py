"""Errors on the wire: which details a status has, in which order, and what a client reads from them."""

from __future__ import annotations

from errno import EAGAIN, EINVAL, ENOMEM

import pytest

from vaccel_rpc.dialects import Version
from vaccel_rpc.errors import Internal, InvalidArgument, NotFound, ResourceExhausted, RpcError, Unavailable, Unimplemented
from vaccel_rpc.proto.dialect08 import error_pb2
from vaccel_rpc.proto.ttrpc_pb2 import Status
from vaccel_rpc.status import from_status, to_status

RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"


@pytest.mark.parametrize(("dialect", "name"), [("0.7", "VaccelError"), ("0.8", "ProtoError")])
@pytest.mark.parametrize(
    ("error", "errno", "more"),
    [
        (ResourceExhausted("the queue is full", retry_after=1.5), EAGAIN, [RETRY_INFO]),
        (Unavailable("elsewhere", retry_after=2), EAGAIN, [RETRY_INFO]),
        (ResourceExhausted("out of memory", errno=ENOMEM), ENOMEM, []),
        (ResourceExhausted("out of memory", errno=ENOMEM, retry_after=5), ENOMEM, [RETRY_INFO]),
        (Internal("torch: no"), EINVAL, []),
    ],
)
def test_the_first_detail_is_the_librarys_error(
    dialect: Version, name: str, error: RpcError, errno: int, more: list[str]
) -> None:
    """Upstream's clients read the first detail as ``vaccel.Error`` whatever its type; the time to wait comes second."""
    status = to_status(error, dialect)
    assert [detail.type_url for detail in status.details] == [f"type.googleapis.com/vaccel.{name}", *more]
    first = error_pb2.Error.FromString(status.details[0].value)
    assert (first.type, first.ffi_error) == (error_pb2.FFI, errno)


@pytest.mark.parametrize("kind", [InvalidArgument, NotFound, Unimplemented, ResourceExhausted])
def test_other_statuses_have_no_detail(kind: type[RpcError]) -> None:
    """Upstream's clients then show the message, which says what is wrong."""
    assert not to_status(kind("what is wrong")).details


@pytest.mark.parametrize(
    ("error", "memory"),
    [(ResourceExhausted("full", retry_after=1.5), False), (ResourceExhausted("out of memory", errno=ENOMEM), True)],
)
def test_a_client_tells_a_full_queue_from_memory(error: ResourceExhausted, memory: bool) -> None:
    """EAGAIN is worth another try after the time that the agent names; ENOMEM is not."""
    received = from_status(Status.FromString(to_status(error).SerializeToString()))
    assert isinstance(received, ResourceExhausted)
    assert (received.message, received.retry_after, received.memory) == (error.message, error.retry_after, memory)
