"""How a request arrives: what a connection knows of it that ASGI cannot express."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

#: The key of an `Arrival` in a scope's ``state``.
KEY = "arrival"


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

    __slots__ = ("_cut", "began", "complete", "disconnected", "failure", "is_stream", "may_still_read", "queued")

    def __init__(self, began: float, cut: Callable[[], Awaitable[None]] | None = None) -> None:
        """``cut`` closes the connection; only our own server passes it."""
        self.began, self._cut = began, cut
        self.complete = self.disconnected = self.queued = self.is_stream = self.may_still_read = False
        self.failure: str | None = None

    @property
    def from_own_server(self) -> bool:
        """Whether our own server reports how the request arrives, which it has checked as well."""
        return self._cut is not None

    async def cut(self) -> None:
        """Closes the connection after what has been sent, so that the client sees that the response is incomplete.

        Under another server this does nothing: there, a response can only be left without its end.
        """
        if self._cut:
            await self._cut()


def arrival_of(scope: Mapping[str, Any], now: float) -> Arrival:
    """The arrival of a scope's request; under a server that does not report it, one that begins ``now``."""
    arrival = (scope.get("state") or {}).get(KEY)
    if not isinstance(arrival, Arrival):
        arrival = Arrival(now)
        # Over HTTP/1 such a server also reports a client that has only closed its sending side.
        arrival.may_still_read = scope["http_version"] in ("1.0", "1.1")
        return arrival
    if arrival.queued:
        arrival.began = now
    return arrival
