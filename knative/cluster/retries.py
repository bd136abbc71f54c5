"""Asks an API server again after the time that its Retry-After names, as kubectl does.

By Kubernetes' API conventions that is 429 (API Priority and Fairness, an API server that starts or
shuts down) or 5xx with Retry-After in whole seconds. Nothing has been done with such a request.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from knative.cluster.refusals import is_status

_MAX_TRIES = 10
_MAX_WAIT_S = 30.0  # of one call altogether

_T = TypeVar("_T")


def patiently(request: Callable[[], _T], refused: type[Exception], *, through_proxy: bool) -> _T:
    """What ``request`` returns or, once it has been tried often or long enough, its last error.

    ``refused``: the client's exception for an error response. ``through_proxy``: the response may
    be a pod's, whose Retry-After is no reason to wait.
    """
    left = _MAX_WAIT_S
    for _ in range(_MAX_TRIES - 1):
        try:
            return request()
        except refused as error:
            delay = retry_after(error)
            if delay is None or delay > left or (through_proxy and from_pod(error)):
                raise
        left -= delay
        time.sleep(delay)
    return request()


def retry_after(error: Any) -> float | None:
    """The seconds that a response asks to wait before the next attempt; None where it does not."""
    text = str((error.headers or {}).get("Retry-After", ""))
    refused = error.status == 429 or (error.status or 0) >= 500
    return float(text) if refused and text.isascii() and text.isdecimal() else None


def from_pod(error: Any) -> bool:
    """Whether the response may be a pod's, through the API server's proxy: it is neither a
    Kubernetes Status nor one that the API server sends as text.
    """
    return error.status not in (401, 403, 429) and not is_status(body_of(error))


def body_of(error: Any) -> str:
    """The body of an error response; where it has none, its reason phrase."""
    return error.body.decode(errors="replace") if isinstance(error.body, bytes) else str(error.body or error.reason or "")
