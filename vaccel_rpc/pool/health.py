"""Notices an agent that does not answer, though its connection is open: frozen, or cut off without a word.

A link whose oldest run is overdue gets a cheap call, and so does, rarely, one that is idle. An agent
that does not answer that either is suspect: it gets no new runs until it answers, and where another
agent can take them, its link is ended, so that its runs are tried there. An agent that is only slow
does answer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from vaccel_rpc.errors import DeadlineExceeded, RpcError, Unavailable
from vaccel_rpc.keeping import Link
from vaccel_rpc.pool.members import Member
from vaccel_rpc.pool.pool import AgentPool

#: Seconds after which a run is overdue, and those that a cheap call may take: together the time
#: until an agent is suspect. Seconds of idleness before a link gets such a call.
OVERDUE_S, ANSWER_S, IDLE_S = 0.5, 0.5, 10.0
#: Seconds that such a call to an agent may take which is suspect and cannot be done without: one
#: that answers slowly is better than none.
_PATIENT_S = 10.0
#: Seconds between two looks at the links while runs are outstanding, and without any, before the
#: thread sleeps.
_LOOK_S, _REST_S = 0.1, 2.0


class PingedLink(Link, Protocol):
    """A link with a cheap call."""

    def ping(self, timeout: float) -> None:
        """A call that any agent answers at once; it may take ``timeout`` seconds. Raises `RpcError`."""


L = TypeVar("L", bound=PingedLink)


class _Probe:
    """A cheap call in a thread of its own, which may be stuck in sending it."""

    def __init__(self, ping: Callable[[float], None], timeout: float) -> None:
        self.at = time.monotonic()
        self.answered = self.failed = False
        self._ping, self._timeout = ping, timeout
        threading.Thread(target=self._run, name="agent probe", daemon=True).start()

    def _run(self) -> None:
        try:
            self._ping(self._timeout)
        except (Unavailable, DeadlineExceeded):
            self.failed = True
            return
        except RpcError:
            pass  # a refusal is an answer, too
        self.answered = True


class _Watched(Generic[L]):
    """What is known of one member's link."""

    def __init__(self, link: L) -> None:
        self.link = link
        self.probe: _Probe | None = None
        self.heard = time.monotonic()


class Health(Generic[L]):
    """Watches the members of a pool. ``suspects``: how often an agent has become suspect."""

    def __init__(self, pool: AgentPool[L]) -> None:
        self._pool = pool
        self._watched: dict[Member[L], _Watched[L]] = {}
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._ended = False
        #: Whether the thread sleeps, and a run has to wake it.
        self.asleep = True
        self.suspects = 0

    def wake(self) -> None:
        """Runs are outstanding from now on."""
        self.asleep = False
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="agent health", daemon=True)
            self._thread.start()
        self._wake.set()

    def close(self) -> None:
        """Ends the thread."""
        self._ended = True
        self._wake.set()

    def _run(self) -> None:
        quiet_since = time.monotonic()
        while not self._ended:
            busy = [self._look(member) for member in self._pool.members]
            if any(busy):
                quiet_since = time.monotonic()
            if time.monotonic() - quiet_since < _REST_S:
                time.sleep(_LOOK_S)
                continue
            self._wake.clear()
            self.asleep = True
            if not any(member.load.runs for member in self._pool.members):
                self._wake.wait(IDLE_S)
            self.asleep = False

    def _look(self, member: Member[L]) -> bool:
        """Looks at one member; whether it is to be looked at again soon."""
        link = member.keeper.link
        if link is None or link.closed is not None:
            self._watched.pop(member, None)
            return False
        watched = self._watched.get(member)
        if watched is None or watched.link is not link:
            watched = self._watched[member] = _Watched(link)
        now, oldest = time.monotonic(), member.load.oldest
        if watched.probe:
            self._judge(member, watched, watched.probe, now)
        elif (oldest is not None and now - max(oldest, watched.heard) > OVERDUE_S) or (
            oldest is None and now - watched.heard > IDLE_S
        ):
            watched.probe = _Probe(link.ping, ANSWER_S)
        return oldest is not None or watched.probe is not None

    def _judge(self, member: Member[L], watched: _Watched[L], probe: _Probe, now: float) -> None:
        if probe.answered:
            watched.probe, watched.heard = None, now
            member.keeper.answered(watched.link)
        elif now - probe.at > ANSWER_S:
            if not member.suspect:
                member.keeper.suspected(watched.link, now - watched.heard)
                self.suspects += 1
            if self._pool.others(member):
                why = Unavailable("the agent does not answer", at=member.endpoint)
                member.keeper.drop(watched.link, why)
            elif probe.failed:
                watched.probe = _Probe(watched.link.ping, _PATIENT_S)
