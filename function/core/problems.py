"""Every error as ``application/problem+json`` (RFC 9457): what the client did wrong, or what the agent
could not do."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import Any

from function.core.options import Unusable
from function.core.request import Malformed
from vaccel_rpc.errors import DeadlineExceeded, ResourceExhausted, RpcError, Unavailable

#: Seconds after which to try again, where the agent did not say.
_RETRY_AFTER = 1.0


class Problem(Exception):
    """An answer that is an error; ``detail`` says what was wrong and what would be right."""

    def __init__(self, status: HTTPStatus, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers or {}

    def body(self) -> dict[str, Any]:
        """The problem as RFC 9457's object."""
        return {"type": "about:blank", "title": self.status.phrase, "status": int(self.status), "detail": self.detail}


def problem_of(error: Exception) -> Problem | None:
    """The problem for an error of this project, or None for any other error."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, Malformed):
        return Problem(HTTPStatus.BAD_REQUEST, str(error))
    return problem_of_text(error) if isinstance(error, Unusable | RpcError) else None


def unforeseen() -> Problem:
    """The problem for any other error, of which the log says more than a client may know."""
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the function failed; its log says more")


def problem_of_text(error: Unusable | RpcError) -> Problem:
    """Why one text has no prediction: it cannot be used (422), or the agent has none for it."""
    return from_rpc(error) if isinstance(error, RpcError) else Problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))


def from_rpc(error: RpcError) -> Problem:
    """429 and 503 when no agent took the run, 504 when one did and gave no answer in time, 502 for any other backend failure."""
    retry = {"Retry-After": str(math.ceil(error.retry_after or _RETRY_AFTER))}
    if isinstance(error, ResourceExhausted) and not error.memory:
        return Problem(HTTPStatus.TOO_MANY_REQUESTS, f"the agent is busy: {error.detail}", retry)
    if isinstance(error, Unavailable):
        return Problem(HTTPStatus.SERVICE_UNAVAILABLE, f"no agent can be reached: {error.detail}", retry)
    if isinstance(error, DeadlineExceeded):
        return Problem(HTTPStatus.GATEWAY_TIMEOUT, "the agent did not answer in time")
    return Problem(HTTPStatus.BAD_GATEWAY, f"the agent gave no result: {error.name}: {error.detail}")
