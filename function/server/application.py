"""The function as an ASGI application: one request, from its head to the end of its answer. For any server that speaks ASGI."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from function.core.jsonlines import MEDIA_TYPES, Answers, Splitter
from function.core.problems import Problem
from function.environ import LINES, REFUSAL
from function.server import arrival as arriving
from function.server.arrival import Arrival
from function.server.gathering import Buffer, Disconnected, Gathering, Receive
from function.server.head import Head, media_type, read_head
from function.server.streaming import LineStream, Send
from function.server.strict import checked
from function.server.threads import Threads
from function.server.wsgi import WsgiResponse, call, environ_of

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

#: Threads beyond the requests that are answered at the same time: for refusals and for health.
_SPARE = 8
#: Paths that take a body of lines.
_LINES_PATHS = ("/classify", "/")


@dataclass(frozen=True)
class ServerLimits:
    """``threads``: requests at the same time. ``max_body``: bytes of a body, or of a line; ``max_buffer``: of all that arrive.

    ``read_timeout``: seconds for a request to arrive, or for a line.
    """

    threads: int
    max_body: int
    max_buffer: int
    read_timeout: float


class Application:
    """Serves a WSGI application: bodies are gathered in the event loop, and a whole request takes a thread."""

    def __init__(self, app: WSGIApplication, limits: ServerLimits) -> None:
        self._app, self._limits = app, limits
        self._threads = Threads(limits.threads + _SPARE)
        self._turns = asyncio.Semaphore(max(1, limits.threads // 4))
        self._buffer = Buffer(limits.max_buffer)
        self._gathering = Gathering(limits.max_body, limits.read_timeout, self._buffer)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        if scope["type"] != "http":
            return
        arrival = arriving.of(scope, asyncio.get_running_loop().time())
        try:
            await self._answer(scope, receive, send, arrival)
        except Disconnected:
            pass  # nobody is left to be told

    async def _answer(self, scope: Any, receive: Receive, send: Send, arrival: Arrival) -> None:
        refusal, head, body = None, None, b""
        try:
            if not arrival.known:
                scope = checked(scope)
            head = read_head(scope)
            if _is_lines(scope, head):
                await self._stream(scope, receive, send, arrival, head)
                return
            body = await self._gathering.whole(receive, head, arrival)
        except Problem as problem:
            refusal = problem
        environ = environ_of(scope, body)
        if refusal:
            environ[REFUSAL] = refusal
        if head is None:
            environ.pop("HTTP_HOST", None)
        answer = await self._threads.run(lambda: call(self._app, environ), lambda answer: answer.close())
        await self._send(answer, scope, send, arrival, ends=head is None)

    async def _stream(self, scope: Any, receive: Receive, send: Send, arrival: Arrival, head: Head) -> None:
        arrival.streams = True
        taken: list[Answers] = []
        environ = {**environ_of(scope, b""), LINES: taken.append}
        answer = await self._threads.run(lambda: call(self._app, environ), lambda answer: None if taken else answer.close())
        if not taken:
            await self._send(answer, scope, send, arrival)
            return
        stream = LineStream(
            receive, arrival, Splitter(self._limits.max_body), taken[0],
            threads=self._threads, turns=self._turns, buffer=self._buffer, silence=self._limits.read_timeout,
        )  # fmt: skip
        try:
            start = {"type": "http.response.start", "status": answer.status, "headers": answer.headers}
            proper = await stream.run(send, start, at_once=not head.expects)
        finally:
            self._threads.run(answer.close)
        if proper:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await arrival.cut()

    async def _send(self, answer: WsgiResponse, scope: Any, send: Send, arrival: Arrival, *, ends: bool = False) -> None:
        """Sends a whole answer. The connection ``ends`` with it, as it does where the request's body has not been read."""
        ends = ends or not arrival.complete
        # HTTP/2 has no such header, and ends a stream otherwise.
        if ends and scope["http_version"] not in ("2", "3"):
            answer.headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        if not arrival.complete:
            # A client that still sends would lose the answer to a reset, were the connection closed at once.
            await send({"type": "http.response.body", "body": answer.body, "more_body": True})
            await arrival.cut()
            answer.body = b""
        await send({"type": "http.response.body", "body": answer.body, "more_body": False})


def _is_lines(scope: Any, head: Head) -> bool:
    """Whether the body is lines of JSON, to be answered as they come, and not a CloudEvent."""
    if scope["method"] != "POST" or scope["path"] not in _LINES_PATHS or media_type(head.kind) not in MEDIA_TYPES:
        return False
    # HTTP/1.0 has no chunks to answer with: lines are gathered there.
    if scope["http_version"] == "1.0":
        return False
    return scope["path"] != "/" or not any(name.startswith(b"ce-") for name, _ in scope["headers"])
