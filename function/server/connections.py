"""The connections of one server together: how many there may be, and how long each may take."""

from __future__ import annotations

import asyncio
import json
import logging
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING

from function.core.problems import Problem
from function.telemetry.access import Access, Entry, request_id

if TYPE_CHECKING:
    from function.server.connection import HttpConnection

_log = logging.getLogger("function.server")

#: Descriptors that are kept free of clients: for the agents' connections, files, and what a burst brings before it is closed.
_SPARE_FILES = 64
#: Of these, what clients may have that were refused at once and are waited for, so that they can read why.
_REFUSED_FILES = 32
_MOST_FILES = 65_536
_SWEEP_S = 1.0


@dataclass(frozen=True)
class ConnectionTimeouts:
    """Seconds. ``read``: for a request's head and body to arrive; ``write``: for a client to take something of what waits for it;
    ``idle``: for a connection to have no request.
    """

    read: float
    write: float
    idle: float


class Connections:
    """Keeps at most ``most`` connections: where one more comes, the one that has been idle longest is closed for it."""

    def __init__(self, times: ConnectionTimeouts, most: int, access: Access) -> None:
        self.times, self.most = times, most
        self._access = access
        self._open: set[HttpConnection] = set()
        self._turned_away: set[HttpConnection] = set()
        self._idle: dict[HttpConnection, None] = {}
        self._closed = self._refused = 0

    def add(self, connection: HttpConnection) -> None:
        """A client has connected."""
        if len(self._open) >= self.most:
            if not self._idle:
                self._refused += 1
                self._turned_away.add(connection)
                detail = f"{self.most} connections are open, and none is idle (MAX_CONNECTIONS)"
                connection.refuse(Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, {"Retry-After": "1"}))
                return
            self._closed += 1
            self._idle.pop(oldest := next(iter(self._idle)))
            oldest.transport.close()
        self._open.add(connection)
        self._idle[connection] = None

    def remove(self, connection: HttpConnection) -> None:
        """A connection has ended."""
        self._open.discard(connection)
        self._turned_away.discard(connection)
        self._idle.pop(connection, None)

    def may_linger(self, connection: HttpConnection) -> bool:
        """Whether there is a descriptor for a connection that has been given up, until its client has read why."""
        return connection not in self._turned_away or len(self._turned_away) <= _REFUSED_FILES

    def busy(self, connection: HttpConnection) -> None:
        """Something arrives on a connection."""
        self._idle.pop(connection, None)

    def idle(self, connection: HttpConnection) -> None:
        """A connection's requests have been answered."""
        self._idle[connection] = None

    async def watch(self) -> None:
        """Ends what takes too long, for as long as it runs."""
        pause = min(_SWEEP_S, self.times.read / 4, self.times.idle / 4)
        loop = asyncio.get_running_loop()
        said = loop.time()
        while True:
            await asyncio.sleep(pause)
            now = loop.time()
            for connection in list(self._open):
                connection.check(now)
            if now - said >= 1:
                said = now
                self._say()

    def record(self, status: HTTPStatus, identity: str, seconds: float) -> None:
        """A request that was refused before the application could see it."""
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            # There may be thousands a second: counted each, and told together (`_say`).
            self._access.metrics.request("none", int(status), seconds)
        else:
            self._access.record(Entry("-", "-", "none", int(status), identity, seconds))

    def _say(self) -> None:
        if self._closed or self._refused:
            text = "MAX_CONNECTIONS (%d) is reached: %d idle connections were closed, %d new ones refused"
            _log.warning(text, self.most, self._closed, self._refused)
            self._closed = self._refused = 0


def allowed(wanted: int | None) -> int:
    """How many connections there may be: ``wanted``, or what the limit of descriptors leaves, which is raised as far as it may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = most
    room = max(1, (most if soft == resource.RLIM_INFINITY else soft) - _SPARE_FILES)
    return min(wanted, room) if wanted else room


def problem_bytes(problem: Problem) -> tuple[bytes, str]:
    """A whole answer that is an error, after which the connection ends; and its id."""
    identity = request_id(None)
    body = json.dumps(problem.body()).encode() + b"\n"
    headers = {**problem.headers, "Date": formatdate(time.time(), usegmt=True), "Content-Type": "application/problem+json"}
    headers |= {"Content-Length": str(len(body)), "X-Request-Id": identity, "X-Content-Type-Options": "nosniff"}
    lines = [f"HTTP/1.1 {int(problem.status)} {problem.status.phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "Connection: close\r\n\r\n"]).encode() + body, identity


def quiet() -> Callable[[asyncio.AbstractEventLoop, dict[str, object]], None]:
    """A handler for what an event loop reports, such as that there is no descriptor for a connection: one line a second."""
    last = float("-inf")

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        nonlocal last
        if loop.time() - last >= 1:
            last = loop.time()
            error = context.get("exception")
            _log.warning("%s: %s", context.get("message"), error if isinstance(error, BaseException) else "")

    return handle
