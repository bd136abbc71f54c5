"""The connections of one server together: their number is limited, and their timeouts are enforced."""

from __future__ import annotations

import asyncio
import logging
import resource
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from function.core.problems import Problem
from function.telemetry.access import Access, Entry

if TYPE_CHECKING:
    from function.server.lifecycle import ConnectionLifecycle

_log = logging.getLogger("function.server")

#: File descriptors that clients may not use: for connections to agents, for files, and for bursts of new connections.
_SPARE_FILES = 64
#: Of these, descriptors for clients that were refused a connection, which stays open until they can have read why.
_REFUSED_FILES = 32
#: The highest limit of descriptors that is asked of the system.
_MAX_FILES = 65_536
_CHECK_INTERVAL_S = 1.0


@dataclass(frozen=True)
class ConnectionTimeouts:
    """Seconds.

    - ``read``: within which a request's head must arrive.
    - ``write``: within which a client must take some of the bytes that wait for it.
    - ``idle``: for which a connection may have no request.
    """

    read: float
    write: float
    idle: float


class Connections:
    """At most ``limit`` connections: for one more, the one that has been idle longest is closed."""

    def __init__(self, timeouts: ConnectionTimeouts, limit: int, access: Access) -> None:
        self.timeouts, self.limit = timeouts, limit
        self._access = access
        self._open: set[ConnectionLifecycle] = set()
        self._rejected: set[ConnectionLifecycle] = set()
        #: In the order in which they became idle; the values are not used.
        self._idle: dict[ConnectionLifecycle, None] = {}
        self._closed_count = self._rejected_count = 0

    def add(self, connection: ConnectionLifecycle) -> None:
        """Adds a new connection, or refuses it (503) where the limit is reached and none is idle."""
        if len(self._open) >= self.limit:
            if not self._idle:
                self._rejected_count += 1
                self._rejected.add(connection)
                detail = f"{self.limit} connections are open, and none is idle (MAX_CONNECTIONS)"
                connection.refuse(Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, {"Retry-After": "1"}))
                return
            self._closed_count += 1
            self._idle.pop(oldest := next(iter(self._idle)))
            oldest.transport.close()
        self._open.add(connection)
        self._idle[connection] = None

    def remove(self, connection: ConnectionLifecycle) -> None:
        """Forgets a connection that has ended."""
        self._open.discard(connection)
        self._rejected.discard(connection)
        self._idle.pop(connection, None)

    def may_linger(self, connection: ConnectionLifecycle) -> bool:
        """Whether a refused connection may keep its descriptor until its client has read why."""
        return connection not in self._rejected or len(self._rejected) <= _REFUSED_FILES

    def busy(self, connection: ConnectionLifecycle) -> None:
        """Called when bytes arrive on a connection."""
        self._idle.pop(connection, None)

    def idle(self, connection: ConnectionLifecycle) -> None:
        """Called when all requests of a connection have been answered."""
        self._idle[connection] = None

    async def enforce_timeouts(self) -> None:
        """Checks every connection about once a second, until the task is cancelled."""
        interval = min(_CHECK_INTERVAL_S, self.timeouts.read / 4, self.timeouts.idle / 4)
        loop = asyncio.get_running_loop()
        last_log = loop.time()
        while True:
            await asyncio.sleep(interval)
            now = loop.time()
            for connection in list(self._open):
                connection.check(now)
            if now - last_log >= 1:
                last_log = now
                self._log_counts()

    def record(self, status: HTTPStatus, request_id: str, seconds: float) -> None:
        """Counts and logs a request that was refused before the application could see it."""
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            # There may be thousands a second: each is counted, but one line reports them all (`_log_counts`).
            self._access.count("none", int(status), seconds)
        else:
            self._access.record(Entry("-", "-", "none", int(status), request_id, seconds))

    def _log_counts(self) -> None:
        if self._closed_count or self._rejected_count:
            text = "MAX_CONNECTIONS (%d) is reached: %d idle connections were closed, %d new ones refused"
            _log.warning(text, self.limit, self._closed_count, self._rejected_count)
            self._closed_count = self._rejected_count = 0


def connection_limit(requested: int | None) -> int:
    """How many connections the limit of file descriptors allows, at most ``requested``.

    The process's limit of descriptors is first raised as far as the system permits.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, _MAX_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    available = max(1, (wanted if soft == resource.RLIM_INFINITY else soft) - _SPARE_FILES)
    return min(requested, available) if requested else available
