"""How a request arrives: what a connection knows of it and ASGI has no word for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

from function.core.problems import Problem

#: Where a scope's ``state`` holds it.
KEY = "arrival"


class Arrival:
    """One request on one connection.

    ``began``: when its first byte arrived (seconds of the event loop's clock); ``queued``: it came while another request of its
    connection was answered, and waited for its turn. ``complete``: its whole body is here. ``failure``: why no more of it can
    come, though it is not complete. ``streams``: it is a stream of lines. ``gone``: nobody waits for its answer any more.
    ``may_read``: its client may still read an answer when the server says that it is gone. ``cut`` ends the connection; only our
    server gives it.
    """

    __slots__ = ("_cut", "began", "complete", "failure", "gone", "may_read", "queued", "streams")

    def __init__(self, began: float, cut: Callable[[], Awaitable[None]] | None = None) -> None:
        self.began, self._cut = began, cut
        self.complete = self.gone = self.queued = self.streams = self.may_read = False
        self.failure: str | None = None

    @property
    def known(self) -> bool:
        """Whether the server is one that tells how its requests arrive: ours."""
        return self._cut is not None

    async def cut(self) -> None:
        """Ends the connection after what has been sent, so that the client sees that the answer is not whole.

        Does nothing where the server can only be left without an end of the answer.
        """
        if self._cut:
            await self._cut()


def late(seconds: float) -> Problem:
    """What a request is told that did not arrive whole within so many seconds."""
    return Problem(HTTPStatus.REQUEST_TIMEOUT, f"the request did not arrive within {seconds:g} s (READ_TIMEOUT_S)")


def of(scope: Mapping[str, Any], now: float) -> Arrival:
    """The arrival of a scope's request; under a server that tells nothing of it, one that begins ``now``."""
    arrival = (scope.get("state") or {}).get(KEY)
    if not isinstance(arrival, Arrival):
        arrival = Arrival(now)
        # Such a server says so of a client that has ended its side alone, and still brings it an answer; in HTTP/2 it is gone.
        arrival.may_read = scope["http_version"] in ("1.0", "1.1")
        return arrival
    if arrival.queued:
        arrival.began = now
    return arrival
