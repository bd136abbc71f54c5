"""How a request arrives: what a connection knows of it and ASGI has no word for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Where a scope's ``state`` holds it.
KEY = "arrival"


class Arrival:
    """One request on one connection.

    ``began``: when its first byte arrived (seconds of the event loop's clock); ``queued``: it came while another request of its
    connection was answered, and waited for its turn. ``complete``: its whole body is here. ``failure``: why no more of it can
    come, though it is not complete; ``ended``: because the client sends no more. ``streams``: it is a stream of lines.
    """

    __slots__ = ("began", "complete", "ended", "failure", "queued", "streams")
    #: Whether the server is one that tells: ours.
    known = False

    def __init__(self, began: float) -> None:
        self.began = began
        self.complete = self.ended = self.queued = self.streams = False
        self.failure: str | None = None

    async def cut(self) -> None:
        """Ends the connection after what has been sent, so that the client sees that the answer is not whole.

        Does nothing where the server can only be left without an end of the answer.
        """


def of(scope: Mapping[str, Any], now: float) -> Arrival:
    """The arrival of a scope's request; under a server that tells nothing of it, one that begins ``now``."""
    arrival = (scope.get("state") or {}).get(KEY)
    if not isinstance(arrival, Arrival):
        return Arrival(now)
    if arrival.queued:
        arrival.began = now
    return arrival
