"""Converts errors to ``google.rpc.Status`` and back.

The details that clients know are ``vaccel.Error`` and ``google.rpc.RetryInfo``. Upstream's clients
read the first detail as ``vaccel.Error`` whatever its type is, and report any other message there
as errno 71; without details they show the status' message. So a ``vaccel.Error`` is the first
detail wherever there is one.
"""

from __future__ import annotations

from errno import EAGAIN

from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError

from vaccel_common.protowire import WireError
from vaccel_rpc.dialects import Version
from vaccel_rpc.errors import Internal, RpcError, from_code
from vaccel_rpc.proto.dialect08 import error_pb2
from vaccel_rpc.proto.ttrpc_pb2 import Status
from vaccel_rpc.wire import cut, field_head

_PREFIX = "type.googleapis.com/"
_RETRY_INFO = _PREFIX + "google.rpc.RetryInfo"
#: The type of a ``vaccel.Error`` detail, by dialect.
_VACCEL_ERROR: dict[Version, str] = {
    "0.7": _PREFIX + "vaccel.VaccelError",
    "2025-07": _PREFIX + "vaccel.VaccelError",
    "2025-08": _PREFIX + "vaccel.ProtoError",
    "0.8": _PREFIX + "vaccel.ProtoError",
}


def to_status(error: RpcError, dialect: Version = "0.8") -> Status:
    """The status of an error.

    An engine's failure has a ``vaccel.Error`` with its errno. A refusal with a time to wait has a
    ``vaccel.Error`` with EAGAIN, unless it has an errno of its own, and then that time.
    """
    status = Status(code=error.code, message=error.message)
    errno = EAGAIN if error.errno is None and error.retry_after is not None else error.errno
    if isinstance(error, Internal) or errno is not None:
        detail = error_pb2.Error(type=error_pb2.FFI, ffi_error=errno)
        status.details.append(Any(type_url=_VACCEL_ERROR[dialect], value=detail.SerializeToString()))
    if error.retry_after is not None:
        delay = Duration()
        delay.FromNanoseconds(round(error.retry_after * 1e9))
        value = delay.SerializeToString()
        status.details.append(Any(type_url=_RETRY_INFO, value=field_head(1, len(value)) + value))
    return status


def from_status(status: Status) -> RpcError:
    """The error of a status. Details that cannot be parsed are ignored."""
    errno, retry_after = None, None
    for detail in status.details:
        try:
            if detail.type_url in _VACCEL_ERROR.values():
                errno = error_pb2.Error.FromString(detail.value).ffi_error or None
            elif detail.type_url == _RETRY_INFO:
                retry_after = Duration.FromString(bytes(cut(detail.value, 1)[1][0])).ToNanoseconds() / 1e9
        except (DecodeError, WireError, IndexError):
            continue
    return from_code(status.code, status.message, errno=errno, retry_after=retry_after)
