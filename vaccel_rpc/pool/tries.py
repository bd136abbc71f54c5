"""The tries of one request's runs: what is sent along with each, and its span.

A run has a span for each agent that it is sent to, one after the other, all children of its
request's. Each try has a ``traceparent`` of its own, so that what an agent does is beneath the try
that reached it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

from vaccel_common import tracing
from vaccel_common.tracing import Span
from vaccel_rpc import rpcspans
from vaccel_rpc.addresses import Address


class Tries:
    """Those of one request. ``trace``: its trace context; ``others``: what else is sent along with each run."""

    __slots__ = ("_others", "_trace", "_untraced")

    def __init__(self, trace: Mapping[str, str] | None, others: Mapping[str, str]) -> None:
        self._trace, self._others = trace, others
        self._untraced = {**(trace or {}), **others}

    def begin(self, address: Address, method: rpcspans.Method, retry: int, reason: str) -> tuple[Span, Mapping[str, str]]:
        """The span of a try at the agent there, and the metadata to send.

        ``retry``: how often the run was sent before; ``reason``: why it is sent again.
        """
        if not tracing.on():
            return tracing.NOTHING, self._untraced
        # The conventions have a number of retries for HTTP alone.
        more: rpcspans.Attributes = {"vaccel.retry": retry, "vaccel.retry_reason": reason} if retry else {}
        span = rpcspans.client(address, method, self._trace, more)
        return span, {**tracing.child_of(span, self._trace), **self._others}

    def waiting(self) -> AbstractContextManager[None]:
        """The span of a wait for an agent."""
        return rpcspans.waiting(self._trace)
