"""Notices an agent that does not answer, though its connection is open: frozen, or cut off without a word.

A link whose oldest run is overdue gets a cheap call, and so do those that are idle then, to which its
runs would go: two links may lead to one agent. Otherwise an idle link rarely gets one. An agent that
does not answer that either is suspect: it gets no new runs until it answers, and where another agent
can take them, its link is ended, so that its runs are tried there. An agent that is only slow does
answer.
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
    """A cheap call in a thread of its own, which may be stuck in sending it. ``now``: monotonic seconds."""

    def __init__(self, ping: Callable[[float], None], timeout: float, now: float) -> None:
        self.at = now
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
            if self._look():
                quiet_since = time.monotonic()
            if time.monotonic() - quiet_since < _REST_S:
                time.sleep(_LOOK_S)
                continue
            self._wake.clear()
            self.asleep = True
            if not any(member.load.runs for member in self._pool.members):
                self._wake.wait(IDLE_S)
            self.asleep = False

    def _look(self) -> bool:
        """Looks at every member; whether to look again soon."""
        now = time.monotonic()
        # Replaced, so that an agent which has left the pool is forgotten with its link.
        self._watched = watched = {member: found for member in self._pool.members if (found := self._watch(member))}
        unasked = {member: found for member, found in watched.items() if not found.probe}
        overdue = {member for member, found in unasked.items() if _is_overdue(member, found, now)}
        silent = [member for member, found in watched.items() if found.probe and self._is_silent(member, found, found.probe, now)]
        for member, found in unasked.items():
            if member in overdue or (member.load.oldest is None and (overdue or now - found.heard > IDLE_S)):
                found.probe = _Probe(found.link.ping, ANSWER_S, now)
        # When all that are silent are known, so that no run goes from one to another.
        for member in silent:
            self._give_up(member, watched[member], now)
        return any(member.load.oldest is not None or found.probe for member, found in watched.items())

    def _watch(self, member: Member[L]) -> _Watched[L] | None:
        """What is known of the member's link; None where it has none."""
        link = member.keeper.link
        if link is None or link.closed is not None:
            return None
        watched = self._watched.get(member)
        return watched if watched and watched.link is link else _Watched(link)

    def _is_silent(self, member: Member[L], watched: _Watched[L], probe: _Probe, now: float) -> bool:
        """Whether the agent has not answered in time; it is suspect then."""
        if probe.answered:
            watched.probe, watched.heard = None, now
            member.keeper.answered(watched.link)
            return False
        if now - probe.at <= ANSWER_S:
            return False
        if not member.suspect:
            member.keeper.suspected(watched.link, now - watched.heard)
            self.suspects += 1
        return True

    def _give_up(self, member: Member[L], watched: _Watched[L], now: float) -> None:
        """Ends the link to a suspect, where another agent can take its runs."""
        if self._pool.others(member):
            member.keeper.drop(watched.link, Unavailable("the agent does not answer", at=member.endpoint))
        elif watched.probe and watched.probe.failed:
            watched.probe = _Probe(watched.link.ping, _PATIENT_S, now)


def _is_overdue(member: Member[L], watched: _Watched[L], now: float) -> bool:
    oldest = member.load.oldest
    return oldest is not None and now - max(oldest, watched.heard) > OVERDUE_S
