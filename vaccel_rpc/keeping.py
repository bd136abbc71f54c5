"""Keeps a link to an agent: connects, notices the end of a connection, and connects again.

One thread makes all attempts, one after the other, so that any number of callers who wait for a link
share them. It tries often while a caller waits and in an outage's first half minute, in which an
agent restarts or the request of a cold start is held elsewhere; then less and less often. A caller
never connects by itself: its deadline would end an attempt on which others wait, too.
"""

from __future__ import annotations

import copy
import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, NamedTuple, Protocol, TypeVar

from vaccel_rpc.errors import Internal, RpcError, Unavailable
from vaccel_rpc.history import AgentState, ConnectionHistory

_log = logging.getLogger("vaccel_rpc")

#: Seconds between attempts: doubled from the first value up to the last, or up to the second while
#: it tries often.
_FIRST_PAUSE_S, _SHORT_PAUSE_S, _MAX_PAUSE_S = 0.05, 0.1, 2.0
#: Seconds at an outage's beginning in which it tries often, though no caller waits.
_EAGER_S = 30.0


class Waits(NamedTuple):
    """Callers that wait for a link ``now``, and all that ``ever`` had to."""

    now: int = 0
    ever: int = 0


class Link(Protocol):
    """What is kept."""

    @property
    def how(self) -> str:
        """How it was made, for the log."""

    @property
    def closed(self) -> RpcError | None:
        """Why it ended; None while it can be used."""

    def close(self) -> None:
        """Ends it."""


L = TypeVar("L", bound=Link)


class LinkKeeper(Generic[L]):
    """Keeps one link, which ``connect`` makes; thread-safe.

    ``connect(on_close)`` raises `RpcError`; ``on_close`` is called, from any thread, when the link
    ends. No attempt is made before `start` or `get`. ``waits``: the callers that wait.
    """

    def __init__(self, connect: Callable[[Callable[[], None]], L], history: ConnectionHistory) -> None:
        self._connect, self._history = connect, history
        lock = threading.Lock()
        #: For the thread: a link is wanted, or has ended. For callers: an attempt has ended.
        self._wanted, self._attempted = threading.Condition(lock), threading.Condition(lock)
        self._thread: threading.Thread | None = None
        self._always = False
        self._ended = False
        #: The present link; it may have ended a moment ago.
        self.link: L | None = None
        self._problem: RpcError | None = None
        self._attempts = 0
        self._pause, self._failed_at, self._outage_began = 0.0, 0.0, time.monotonic()
        self.waits = Waits()

    @property
    def up(self) -> bool:
        """Whether there is a link that can be used."""
        link = self.link
        return link is not None and link.closed is None

    @property
    def state(self) -> AgentState:
        """Whether the agent can be reached, since when, and why not."""
        if self.link and not self.up:
            with self._wanted:
                self._notice()
        return self._history.state

    def start(self) -> None:
        """Keeps a link from now on, whether or not a caller waits for one, until `close`."""
        with self._wanted:
            self._always = True
            self._begin()

    def get(self, deadline: float | None = None, wait: float | None = None) -> L:
        """The link. Where there is none it waits.

        ``wait``: seconds, at most until ``deadline`` (monotonic). None: until the present attempt, or
        else the next, has ended. Raises `Unavailable` when time is up, and at once any other error of
        an attempt, which waiting would not mend.
        """
        link = self.link
        if link is not None and link.closed is None:
            return link
        return self._awaited(deadline, wait)

    def drop(self, link: L, why: RpcError) -> None:
        """Replaces ``link``, which a call has shown to be of no use."""
        with self._wanted:
            self._lose(link, why)
            self._wanted.notify()
        link.close()

    def close(self) -> None:
        """Ends the link and the thread; whoever waits gets `Unavailable`."""
        with self._wanted:
            self._notice()
            link, self._ended = self.link, True
            if self._always:
                self._history.left()
            self._wanted.notify()
            self._attempted.notify_all()
        if link:
            link.close()

    def _awaited(self, deadline: float | None, wait: float | None) -> L:
        give_up = None if wait is None else time.monotonic() + wait
        ends = [end for end in (deadline, give_up) if end is not None]
        with self._wanted:
            self._begin()
            before = self._attempts
            self.waits = Waits(self.waits.now + 1, self.waits.ever + 1)
            try:
                self._wanted.notify()
                while True:
                    link = self.link
                    if link is not None and link.closed is None:
                        return link
                    left = min(ends) - time.monotonic() if ends else None
                    self._check(left, attempted=self._attempts != before, once=wait is None)
                    self._attempted.wait(left)
            finally:
                self.waits = Waits(self.waits.now - 1, self.waits.ever)

    def _check(self, left: float | None, *, attempted: bool, once: bool) -> None:
        """Raises the error for a caller that need not wait any longer."""
        if self._ended:
            raise Unavailable("the connection was closed")
        final = attempted and (once or not isinstance(self._problem, Unavailable))
        if final or (left is not None and left <= 0):
            # A copy: each thread that raises an exception adds to its traceback.
            raise copy.copy(self._problem) if self._problem else Unavailable(f"{self._history.state.address}: still connecting")

    def _begin(self) -> None:
        if self._thread is None and not self._ended:
            self._thread = threading.Thread(target=self._run, name="agent connection", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while self._wait_until_wanted():
            try:
                link = self._connect(self._wake)
            except RpcError as error:
                self._failed(error)
            except Exception as error:  # noqa: BLE001 the next attempt may succeed
                _log.exception("connecting failed")
                self._failed(Internal(f"connecting failed: {type(error).__name__}"))
            else:
                self._made(link)

    def _wait_until_wanted(self) -> bool:
        """Waits until the next attempt is due; False at the end."""
        with self._wanted:
            while not self._ended:
                self._notice()
                left = None if self.link or not (self._always or self.waits.now) else self._pause_left()
                if left is not None and left <= 0:
                    return True
                self._wanted.wait(left)
        return False

    def _pause_left(self) -> float:
        """Seconds until the next attempt; 0 or less where it is due."""
        now = time.monotonic()
        often = self.waits.now or now - self._outage_began < _EAGER_S
        return self._failed_at + min(self._pause, _SHORT_PAUSE_S if often else _MAX_PAUSE_S) - now

    def _wake(self) -> None:
        with self._wanted:
            self._wanted.notify()

    def _failed(self, error: RpcError) -> None:
        with self._attempted:
            self._attempts += 1
            self._problem, self._failed_at = error, time.monotonic()
            self._pause = min(2 * self._pause, _MAX_PAUSE_S) or _FIRST_PAUSE_S
            self._history.failed(error, again=self._always)
            self._attempted.notify_all()

    def _made(self, link: L) -> None:
        with self._attempted:
            ended = self._ended
            if not ended:
                self._attempts += 1
                self.link, self._problem, self._pause = link, None, 0.0
                self._history.reached(link.how)
                self._attempted.notify_all()
        if ended:
            link.close()

    def _notice(self) -> None:
        """Takes note of a link that has ended."""
        if self.link and (why := self.link.closed):
            self._lose(self.link, why)

    def _lose(self, link: L, why: RpcError) -> None:
        if self.link is link and not self._ended:
            self.link, self._problem, self._outage_began = None, why, time.monotonic()
            self._history.lost(why)
