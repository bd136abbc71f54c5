"""Every failure of a call: its class, and its status code, which gRPC and ttrpc share."""

from __future__ import annotations

import copy
import errno
from collections.abc import Sequence
from typing import ClassVar, Self


class RpcError(Exception):
    """A call failed.

    ``errno``: vAccel's ffi_error, where the peer sent one. ``retry_after``: the seconds after which
    to try again, where the peer sent them. ``of_run``: whether a run failed with its own inputs, so
    that other runs of the same request may succeed; any other error is about the agent, the
    connection or the model, and so about all of them. ``detail``: the message without ``at``, the
    address of the agent, which is not for everyone.
    """

    code: ClassVar[int] = 2
    name: ClassVar[str] = "UNKNOWN"
    of_run: bool = False

    def __init__(self, detail: str, *, errno: int | None = None, retry_after: float | None = None, at: object = None) -> None:
        self.detail = detail
        self.message = detail if at is None else f"{at}: {detail}"
        super().__init__(self.message)
        self.errno = errno
        self.retry_after = retry_after

    def with_place(self, place: str) -> Self:
        """The same error, whose message ends with ``place``, that of its run among others."""
        error = copy.copy(self)
        error.message, error.detail = f"{self.message} ({place})", f"{self.detail} ({place})"
        error.args = (error.message,)
        return error


class Cancelled(RpcError):
    """The caller cancelled the call."""

    code, name = 1, "CANCELLED"


class InvalidArgument(RpcError):
    """The request is invalid and can never succeed."""

    code, name = 3, "INVALID_ARGUMENT"
    of_run = True


class DeadlineExceeded(RpcError):
    """The deadline passed; whether the call ran is unknown."""

    code, name = 4, "DEADLINE_EXCEEDED"


class NotFound(RpcError):
    """The caller has no such session, resource or model."""

    code, name = 5, "NOT_FOUND"


class PermissionDenied(RpcError):
    """The agent's configuration forbids the call; the message names the option."""

    code, name = 7, "PERMISSION_DENIED"


class ResourceExhausted(RpcError):
    """A limit was reached. ``reason`` names it for metrics (``vaccel_rejections_total``)."""

    code, name = 8, "RESOURCE_EXHAUSTED"

    def __init__(
        self, message: str, *, errno: int | None = None, retry_after: float | None = None, reason: str | None = None
    ) -> None:
        super().__init__(message, errno=errno, retry_after=retry_after)
        self.reason = reason
        # A full queue is full for every run.
        self.of_run = self.memory

    @property
    def memory(self) -> bool:
        """Whether memory ran out. Then trying the same request again does not help."""
        return self.errno == errno.ENOMEM


class FailedPrecondition(RpcError):
    """The state of the agent or its store does not allow the call."""

    code, name = 9, "FAILED_PRECONDITION"


class Unimplemented(RpcError):
    """The agent has no such service, method, operation or plugin."""

    code, name = 12, "UNIMPLEMENTED"


class Internal(RpcError):
    """The engine failed. The status carries a ``vaccel.Error``."""

    code, name = 13, "INTERNAL"
    of_run = True

    def __init__(self, message: str, *, errno: int | None = errno.EINVAL, retry_after: float | None = None) -> None:
        super().__init__(message, errno=errno, retry_after=retry_after)


class Unavailable(RpcError):
    """The peer cannot be reached, has closed the connection, or is shutting down.

    Trying again later, or elsewhere, may help.
    """

    code, name = 14, "UNAVAILABLE"


_CLASSES: dict[int, type[RpcError]] = {
    cls.code: cls
    for cls in (
        Cancelled,
        InvalidArgument,
        DeadlineExceeded,
        NotFound,
        PermissionDenied,
        ResourceExhausted,
        FailedPrecondition,
        Unimplemented,
        Internal,
        Unavailable,
    )
}


def together(errors: Sequence[RpcError]) -> RpcError:
    """One error for all of these, which are of one class: a copy of the first that tells the details of each, once."""
    # A copy: each thread that raises an exception adds to its traceback.
    error = copy.copy(errors[0])
    error.message = "; ".join(dict.fromkeys(each.message for each in errors))
    error.detail = "; ".join(dict.fromkeys(each.detail for each in errors))
    error.args = (error.message,)
    return error


def from_code(code: int, message: str, *, errno: int | None = None, retry_after: float | None = None) -> RpcError:
    """The error for a peer's status code; a plain `RpcError` for an unknown code."""
    return _CLASSES.get(code, RpcError)(message, errno=errno, retry_after=retry_after)
