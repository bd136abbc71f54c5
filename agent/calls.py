"""One call as its handler sees it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from google.protobuf.message import Message

from agent.sessions import RpcSession, Scope
from vaccel_common import tracing
from vaccel_common.records import record
from vaccel_rpc.dialects import Dialect
from vaccel_rpc.wire import Parts


@record
class IncomingCall:
    """One call of a client.

    ``request``: the message in the call's dialect, without its large bytes, which are in ``blobs``
    (messages of different dialects share no static type). ``deadline``: monotonic seconds.
    ``span``: the call's own, where it is recorded.
    """

    dialect: Dialect
    scope: Scope
    request: Any
    blobs: list[memoryview]
    deadline: float | None
    metadata: Mapping[str, str]
    span: tracing.Span = tracing.NOTHING

    def session(self) -> RpcSession:
        """The session that the request names. Raises `NotFound`."""
        return self.scope.session(self.request.session_id)

    def reply(self, operation: str, **fields: Any) -> Message:
        """The operation's reply in the call's dialect."""
        reply: Message = self.dialect.methods[operation].reply(**fields)
        return reply


#: Answers a call with the reply, or with the parts in which it is sent. Raises `RpcError`.
Handler = Callable[[IncomingCall], Awaitable[Message | Parts]]
