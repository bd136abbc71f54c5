"""The function as an ASGI application, for any server that speaks ASGI: one request, from its head to the end of its response."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from function.core.jsonlines import MEDIA_TYPES, Answers, Splitter
from function.core.problems import Problem
from function.environ import LINES, REFUSAL, WAITED, DirectResponse
from function.server.arrival import Arrival, arrival_of
from function.server.bodies import BodyBudget, BodyReader, Disconnected, Receive
from function.server.head import Head, media_type, read_head
from function.server.streaming import LineStream, Send
from function.server.strict import checked
from function.server.threads import ThreadPool
from function.server.wsgi import WsgiResponse, call, environ_of

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

#: Threads besides those for the concurrency limit (THREADS): for refusals and for health probes.
_SPARE_THREADS = 8
#: Paths that take a stream of lines.
_LINES_PATHS = ("/classify", "/")


@dataclass(frozen=True)
class ServerLimits:
    """The limits of reading and answering requests.

    - ``threads``: requests that are answered at the same time.
    - ``max_body``: bytes of one body, or of one line of a stream.
    - ``max_buffer``: bytes of all bodies that are arriving, together.
    - ``read_timeout``: seconds within which a request, or a line of a stream, must arrive.
    """

    threads: int
    max_body: int
    max_buffer: int
    read_timeout: float


#: Answers a request without WSGI, or says how to refuse it; None: neither.
Direct = Callable[[Any, bytes], Awaitable["DirectResponse | Problem | None"]]
#: Answers a request that is refused without WSGI, so many seconds after its first byte; None where the application has to answer.
Refuse = Callable[[Any, Problem, float], "DirectResponse | None"]
#: Makes a `Direct` of what calls functions in threads.
MakeDirect = Callable[[Callable[[Callable[[], Any]], Awaitable[Any]]], Direct]


class Application:
    """Serves a WSGI application: bodies are read in the event loop, and only a complete request takes a thread."""

    def __init__(
        self, app: WSGIApplication, limits: ServerLimits, direct: MakeDirect | None = None, refuse: Refuse | None = None
    ) -> None:
        self._app, self._limits, self._refuse = app, limits, refuse
        self._threads = ThreadPool(limits.threads + _SPARE_THREADS)
        self._stream_parts = asyncio.Semaphore(max(1, limits.threads // 4))
        self._budget = BodyBudget(limits.max_buffer)
        self._bodies = BodyReader(limits.max_body, limits.read_timeout, self._budget)
        self._direct = direct(self._threads.run) if direct else None

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """ASGI's entry point: answers an HTTP request, and closes a WebSocket."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        if scope["type"] != "http":
            return
        arrival = arrival_of(scope)
        try:
            await self._answer(scope, receive, send, arrival)
        except Disconnected:
            pass  # nobody would read a response

    async def _answer(self, scope: Any, receive: Receive, send: Send, arrival: Arrival) -> None:
        refusal, head, body = None, None, b""
        try:
            if not arrival.from_own_server:
                scope = checked(scope)
            head = read_head(scope)
            if _is_lines(scope, head):
                await self._stream(scope, receive, send, arrival, head)
                return
            body = await self._bodies.read(receive, head, arrival)
            if self._direct:
                direct = await self._direct(scope, body)
                if isinstance(direct, tuple):
                    await self._send_direct(direct, scope, send, arrival)
                    return
                refusal = direct
        except Problem as problem:
            refusal = problem
        waited = asyncio.get_running_loop().time() - arrival.began
        if refusal and head and self._refuse and (direct := self._refuse(scope, refusal, waited)):
            await self._send_direct(direct, scope, send, arrival)
            return
        environ = environ_of(scope, body)
        if refusal:
            environ[REFUSAL], environ[WAITED] = refusal, waited
        if head is None:
            environ.pop("HTTP_HOST", None)
        response = await self._threads.run(lambda: call(self._app, environ), lambda response: response.close())
        await self._send(response, scope, send, arrival, closes=head is None)

    async def _stream(self, scope: Any, receive: Receive, send: Send, arrival: Arrival, head: Head) -> None:
        arrival.is_stream = True
        accepted: list[Answers] = []
        environ = {**environ_of(scope, b""), LINES: accepted.append}
        response = await self._threads.run(
            lambda: call(self._app, environ), lambda response: None if accepted else response.close()
        )
        if not accepted:
            await self._send(response, scope, send, arrival)
            return
        stream = LineStream(
            receive, arrival, Splitter(self._limits.max_body), accepted[0],
            threads=self._threads, semaphore=self._stream_parts, budget=self._budget, timeout=self._limits.read_timeout,
        )  # fmt: skip
        try:
            start = {"type": "http.response.start", "status": response.status, "headers": response.headers}
            complete = await stream.run(send, start, at_once=not head.expects_continue)
        finally:
            self._threads.run(response.close)
        if complete:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await arrival.cut()

    async def _send_direct(self, direct: DirectResponse, scope: Any, send: Send, arrival: Arrival) -> None:
        response = WsgiResponse(*direct)
        try:
            cut = await self._write(response, scope, send, arrival)
        finally:
            # Before the connection lingers, which is no part of the request's time.
            response.close()
        if cut:
            await self._cut(send, arrival)

    async def _send(self, response: WsgiResponse, scope: Any, send: Send, arrival: Arrival, *, closes: bool = False) -> None:
        if await self._write(response, scope, send, arrival, closes=closes):
            await self._cut(send, arrival)

    async def _write(self, response: WsgiResponse, scope: Any, send: Send, arrival: Arrival, *, closes: bool = False) -> bool:
        """Sends a complete response, and returns whether the connection is to be `_cut` then, because the body was not read.

        Where it ``closes`` the connection, too, the response says so.
        """
        closes = closes or not arrival.complete
        # HTTP/2 has no such header, and resets the stream instead.
        if closes and scope["http_version"] not in ("2", "3"):
            response.headers.append((b"connection", b"close"))
        if arrival.complete and arrival.connection:
            await arrival.connection.respond(response.status, response.headers, response.body)
            return False
        await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
        cut = not arrival.complete
        await send({"type": "http.response.body", "body": response.body, "more_body": cut})
        return cut

    async def _cut(self, send: Send, arrival: Arrival) -> None:
        """Ends a response and its connection, which, closed at once, would be reset while the client still sends, and the response lost."""
        await arrival.cut()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _is_lines(scope: Any, head: Head) -> bool:
    """Whether the body is lines of JSON, to be answered as they arrive, and not a CloudEvent."""
    if scope["method"] != "POST" or scope["path"] not in _LINES_PATHS or media_type(head.content_type) not in MEDIA_TYPES:
        return False
    # HTTP/1.0 has no chunked responses: its lines are read as one body.
    if scope["http_version"] == "1.0":
        return False
    return scope["path"] != "/" or not any(name.startswith(b"ce-") for name, _ in scope["headers"])
