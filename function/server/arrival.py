"""How a request arrives: what a connection knows of it that ASGI cannot express."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

#: The key of an `Arrival` in a scope's ``state``.
KEY = "arrival"


class OwnConnection(Protocol):
    """What the application does with a connection of our own server besides ASGI's messages."""

    async def respond(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> None:
        """Writes a complete response to the request that is being answered; header names are in lower case."""

    async def cut(self) -> None:
        """Closes the connection after what has been sent, so that the client sees that the response is incomplete."""


class Arrival:
    """The state of one request on its connection, shared by the connection and the application.

    - ``began``: when its first byte arrived, in seconds of the event loop's clock.
    - ``queued``: it was pipelined, and waited until the requests before it had been answered.
    - ``complete``: its whole body has arrived.
    - ``failure``: why the rest of its body cannot come, if it cannot.
    - ``is_stream``: it is a stream of lines.
    - ``disconnected``: nobody waits for its response any more.
    - ``may_still_read``: the client may read a response even after the server has reported that it
      disconnected.
    """

    __slots__ = ("began", "complete", "connection", "disconnected", "failure", "is_stream", "may_still_read", "queued")

    def __init__(self, began: float, connection: OwnConnection | None = None) -> None:
        """``connection``: its own, where it is one of our own server."""
        self.began, self.connection = began, connection
        self.complete = self.disconnected = self.queued = self.is_stream = self.may_still_read = False
        self.failure: str | None = None

    @property
    def from_own_server(self) -> bool:
        """Whether our own server reports how the request arrives, which it has checked as well."""
        return self.connection is not None

    async def cut(self) -> None:
        """`OwnConnection.cut`.

        Under another server this does nothing: there, a response can only be left without its end.
        """
        if self.connection:
            await self.connection.cut()


def arrival_of(scope: Mapping[str, Any]) -> Arrival:
    """The arrival of a scope's request; under a server that does not report it, one that begins now."""
    arrival = (scope.get("state") or {}).get(KEY)
    if not isinstance(arrival, Arrival):
        arrival = Arrival(asyncio.get_running_loop().time())
        # Over HTTP/1 such a server also reports a client that has only closed its sending side.
        arrival.may_still_read = scope["http_version"] in ("1.0", "1.1")
        return arrival
    if arrival.queued:
        arrival.began = asyncio.get_running_loop().time()
    return arrival
