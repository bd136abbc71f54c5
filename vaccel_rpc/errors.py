"""Every failure of a call, once: a class, its status code (gRPC's numbers, which ttrpc shares), and vAccel's error detail."""

from __future__ import annotations

import errno
from typing import ClassVar


class RpcError(Exception):
    """A call that failed. ``errno`` is vAccel's ffi_error where the peer gave one; ``retry_after`` seconds where it said when."""

    code: ClassVar[int] = 2
    name: ClassVar[str] = "UNKNOWN"

    def __init__(self, message: str, *, errno: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.errno = errno
        self.retry_after = retry_after


class Cancelled(RpcError):
    """The caller took it back."""

    code, name = 1, "CANCELLED"


class InvalidArgument(RpcError):
    """The request can never succeed as it is."""

    code, name = 3, "INVALID_ARGUMENT"


class DeadlineExceeded(RpcError):
    """The call's time was up; whether it ran is unknown."""

    code, name = 4, "DEADLINE_EXCEEDED"


class NotFound(RpcError):
    """No such session, resource or model for this caller."""

    code, name = 5, "NOT_FOUND"


class PermissionDenied(RpcError):
    """The agent's configuration forbids it; the message names the option."""

    code, name = 7, "PERMISSION_DENIED"


class ResourceExhausted(RpcError):
    """A limit was reached: a queue, sessions, bytes; ``reason`` names it for those who count."""

    code, name = 8, "RESOURCE_EXHAUSTED"

    def __init__(
        self, message: str, *, errno: int | None = None, retry_after: float | None = None, reason: str | None = None
    ) -> None:
        super().__init__(message, errno=errno, retry_after=retry_after)
        self.reason = reason

    @property
    def memory(self) -> bool:
        """Whether memory was out, not a queue: who comes again with the same finds it so again."""
        return self.errno == errno.ENOMEM


class FailedPrecondition(RpcError):
    """The state of the agent or the store does not allow it."""

    code, name = 9, "FAILED_PRECONDITION"


class Unimplemented(RpcError):
    """No such service, method, operation or plugin."""

    code, name = 12, "UNIMPLEMENTED"


class Internal(RpcError):
    """The backend failed; carries a ``vaccel.Error`` on the wire."""

    code, name = 13, "INTERNAL"

    def __init__(self, message: str, *, errno: int | None = errno.EINVAL, retry_after: float | None = None) -> None:
        super().__init__(message, errno=errno, retry_after=retry_after)


class Unavailable(RpcError):
    """The peer cannot be reached, went away, or is shutting down; trying again later, or elsewhere, may help."""

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


def from_code(code: int, message: str, *, errno: int | None = None, retry_after: float | None = None) -> RpcError:
    """The error for a status code a peer sent; an unlisted code becomes a plain `RpcError`."""
    return _CLASSES.get(code, RpcError)(message, errno=errno, retry_after=retry_after)
