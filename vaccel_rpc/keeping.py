"""Keeps a link to one agent: connects, notices the end of a connection, and connects again.

One thread makes all attempts, one after the other, so that any number of callers who wait for a link
share them (`vaccel_rpc.pool.pool`). It tries often while a caller waits and in an outage's first half
minute, in which an agent restarts or the request of a cold start is held elsewhere; then less and less
often. A caller never connects by itself: its deadline would end an attempt on which others wait, too.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from vaccel_rpc.errors import Internal, RpcError, Unavailable
from vaccel_rpc.history import AgentState, ConnectionHistory

_log = logging.getLogger("vaccel_rpc")

#: Seconds between attempts: doubled from the first value up to the last, or up to the second while
#: it tries often.
_FIRST_PAUSE_S, _SHORT_PAUSE_S, _MAX_PAUSE_S = 0.05, 0.1, 2.0
#: Seconds at an outage's beginning in which it tries often, though no caller waits.
_EAGER_S = 30.0
#: Seconds for the calls in a link that is not used any more, and those between two looks at them.
_FINISH_S, _LOOK_S = 60.0, 0.02


class Link(Protocol):
    """What is kept."""

    @property
    def how(self) -> str:
        """How it was made, for the log."""

    @property
    def closed(self) -> RpcError | None:
        """Why it ended; None while it can be used."""

    @property
    def draining(self) -> bool:
        """Whether the agent has said that it shuts down."""

    @property
    def running(self) -> int:
        """Calls in it without a reply."""

    @property
    def warm(self) -> bool:
        """Whether it is as quick as it will be; one that is not goes last."""

    def close(self, why: str = ...) -> None:
        """Ends it; calls that wait fail with `Unavailable`, which says ``why``."""

    def finish(self) -> None:
        """Ends it where no calls wait, and tells the agent."""


L = TypeVar("L", bound=Link)


class LinkKeeper(Generic[L]):
    """Keeps one link, which ``connect`` makes; thread-safe.

    ``connect(on_change)`` raises `RpcError`; ``on_change`` is called, from any thread, when the link
    ends, and when its agent says that it shuts down: from then on the link is not used for anything
    new, and ends when its calls are over. No attempt is made before `start` or `hurry`. ``changed``
    is called, without a lock, after each attempt and when a link is not to be used any more;
    ``wanted()``: whether a caller waits for a link.
    """

    def __init__(
        self,
        connect: Callable[[Callable[[], None]], L],
        history: ConnectionHistory,
        changed: Callable[[], None] = lambda: None,
        wanted: Callable[[], bool] = lambda: False,
    ) -> None:
        self._connect, self._history, self._changed, self._is_wanted = connect, history, changed, wanted
        #: For the thread: a link is wanted, or has ended.
        self._wake_up = threading.Condition()
        self._thread: threading.Thread | None = None
        self._always = False
        self._ended = False
        #: The present link; it may have ended a moment ago.
        self.link: L | None = None
        #: Why there is no link: of the last attempt, or the end of the last link.
        self.problem: RpcError | None = None
        #: Attempts that have ended, and links whose agents said that they shut down.
        self.attempts = self.drains = 0
        #: Links that end when their calls are over.
        self._finishing: set[L] = set()
        self._pause, self._failed_at, self._outage_began = 0.0, 0.0, time.monotonic()

    @property
    def up(self) -> bool:
        """Whether there is a link that can be used."""
        link = self.link
        return link is not None and link.closed is None

    @property
    def state(self) -> AgentState:
        """The state of the link, since when, and why."""
        if self.link and not self.up:
            with self._wake_up:
                self._notice()
        return self._history.state

    def start(self) -> None:
        """Keeps a link from now on, whether or not a caller waits for one, until `close`."""
        with self._wake_up:
            self._always = True
            self._begin()

    def hurry(self) -> None:
        """A caller waits from now on: tries soon."""
        with self._wake_up:
            self._begin()
            self._wake_up.notify()

    def drop(self, link: L, why: RpcError, *, finish: bool = False) -> None:
        """Replaces ``link``, which a call has shown to be of no use; ``finish``: the other calls in it may finish."""
        with self._wake_up:
            self._lose(link, why, finish=finish)
            self._wake_up.notify()
        if not finish:
            link.close(why.detail)

    @property
    def suspect(self) -> bool:
        """Whether the link's agent does not answer."""
        return self._history.state.state == "suspect"

    def suspected(self, link: L, seconds: float) -> None:
        """The agent of ``link`` has not answered for so many seconds."""
        with self._wake_up:
            if self.link is link and not self.suspect:
                self._history.suspected(seconds)

    def answered(self, link: L) -> None:
        """The agent of ``link`` answers; only one that was suspect is told."""
        with self._wake_up:
            again = self.link is link and self.suspect
            if again:
                self._history.answered()
        if again:
            self._changed()

    def close(self) -> None:
        """Ends the link and the thread."""
        with self._wake_up:
            self._notice()
            links = [*self._finishing, *([self.link] if self.link else [])]
            self._ended = True
            if self._always:
                self._history.left()
            self._wake_up.notify()
        for link in links:
            link.close()

    def _begin(self) -> None:
        if self._thread is None and not self._ended:
            self._thread = threading.Thread(target=self._run, name="agent connection", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while self._wait_until_due():
            try:
                link = self._connect(self._link_changed)
            except RpcError as error:
                self._failed(error)
            except Exception as error:  # noqa: BLE001 the next attempt may succeed
                _log.exception("connecting failed")
                self._failed(Internal(f"connecting failed: {type(error).__name__}"))
            else:
                self._made(link)
            self._changed()

    def _wait_until_due(self) -> bool:
        """Waits until the next attempt is due; False at the end."""
        with self._wake_up:
            while not self._ended:
                self._notice()
                left = None if self.link or not (self._always or self._is_wanted()) else self._pause_left()
                if left is not None and left <= 0:
                    return True
                self._wake_up.wait(left)
        return False

    def _pause_left(self) -> float:
        """Seconds until the next attempt; 0 or less where it is due."""
        now = time.monotonic()
        often = self._is_wanted() or now - self._outage_began < _EAGER_S
        return self._failed_at + min(self._pause, _SHORT_PAUSE_S if often else _MAX_PAUSE_S) - now

    def _link_changed(self) -> None:
        with self._wake_up:
            self._notice()
            self._wake_up.notify()
        self._changed()

    def _failed(self, error: RpcError) -> None:
        with self._wake_up:
            self.attempts += 1
            self.problem, self._failed_at = error, time.monotonic()
            self._pause = min(2 * self._pause, _MAX_PAUSE_S) or _FIRST_PAUSE_S
            self._history.failed(error, again=self._always)

    def _made(self, link: L) -> None:
        with self._wake_up:
            ended = self._ended
            if not ended:
                self.attempts += 1
                self.link, self.problem, self._pause = link, None, 0.0
                self._history.reached(link.how)
        if ended:
            link.close()

    def _notice(self) -> None:
        """Takes note of a link that has ended, or whose agent shuts down."""
        if link := self.link:
            if why := link.closed:
                self._lose(link, why)
            elif link.draining:
                self._lose(link, Unavailable("the agent is shutting down", at=self._history.state.address), finish=True)

    def _lose(self, link: L, why: RpcError, *, finish: bool = False) -> None:
        """Has no link any more; ``finish``: it ends when its calls are over."""
        if self.link is not link or self._ended:
            return
        self.link, self.problem, self._outage_began = None, why, time.monotonic()
        if link.draining:
            self.drains += 1
            self._history.leaving(why)
        else:
            self._history.lost(why)
        if finish:
            self._finishing.add(link)
            threading.Thread(target=self._finish, args=(link,), name="finishing link", daemon=True).start()
        else:
            self._history.drained()

    def _finish(self, link: L) -> None:
        end = time.monotonic() + _FINISH_S
        # What had picked the link when its agent said that it shuts down has sent its call by then.
        time.sleep(_LOOK_S)
        while link.running and link.closed is None and time.monotonic() < end:
            time.sleep(_LOOK_S)
        link.finish()
        with self._wake_up:
            self._finishing.discard(link)
            if not self._finishing:
                self._history.drained()
