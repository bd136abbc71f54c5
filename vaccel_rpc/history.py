"""What becomes of the connection to one agent: its present state, and a line in the log for each change."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from vaccel_rpc.errors import RpcError

_log = logging.getLogger("vaccel_rpc")

#: Seconds between two lines that say that an agent still cannot be reached.
_REPEAT_S = 60.0
#: Characters of an agent's reason that are logged.
_MAX_REASON = 1000


@dataclass(frozen=True)
class AgentState:
    """An agent as its client sees it.

    ``since``: when it became reachable or unreachable, in seconds of Unix time. ``problem``: why it
    cannot be reached; None while it can, and before the first attempt has ended. ``suspect``: it is
    connected but does not answer.
    """

    address: str
    reachable: bool
    since: float
    problem: RpcError | None = None
    suspect: bool = False

    @property
    def name(self) -> Literal["reachable", "suspect", "unreachable"]:
        """The state in one word."""
        return "unreachable" if not self.reachable else "suspect" if self.suspect else "reachable"

    @property
    def reason(self) -> str | None:
        """Why it cannot be reached, in words; None while it can."""
        return None if self.reachable else self.problem.message if self.problem else "connecting"


class ConnectionHistory:
    """The state of the connection to the agent at ``address``, and its log.

    An outage has a line when it begins, one for each status code that the attempts to end it fail
    with, and otherwise one a minute. Its caller holds a lock. ``clock``: monotonic seconds.
    """

    def __init__(self, address: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.state = AgentState(address, reachable=False, since=time.time())
        self._clock = clock
        self._changed = clock()
        self._was_reached = False
        #: Codes that the log of this outage has, and when its last line was written.
        self._told: set[str] = set()
        self._told_at = 0.0

    def reached(self, how: str) -> None:
        """The agent was reached; ``how``: its dialect, and how the model was registered."""
        seconds = self._turn(AgentState(self.state.address, reachable=True, since=time.time()))
        after = f" (after {seconds:.1f} s without an agent)" if self._was_reached else ""
        self._was_reached = True
        self._told.clear()
        _log.info("%s: %s%s", self.state.address, how, after)

    def lost(self, why: RpcError) -> None:
        """The connection, or the session in it, ended."""
        seconds = self._turn(AgentState(self.state.address, reachable=False, since=time.time(), problem=why))
        self._note(why)
        _log.warning("%s: lost the agent after %.1f s: %s", self.state.address, seconds, self._reason(why))

    def failed(self, why: RpcError, *, again: bool) -> None:
        """An attempt to reach the agent failed. It is logged if there will be others ``again``: else a caller gets the error."""
        self.state = AgentState(self.state.address, reachable=False, since=self.state.since, problem=why)
        if not again:
            return
        if why.name in self._told and self._clock() - self._told_at < _REPEAT_S:
            return
        first = not self._told
        self._note(why)
        if first:
            _log.warning("%s: no agent: %s; trying again", self.state.address, self._reason(why))
        else:
            seconds = self._clock() - self._changed
            _log.warning("%s: still no agent after %.1f s: %s", self.state.address, seconds, self._reason(why))

    def left(self) -> None:
        """The client closed the connection."""
        if self.state.reachable:
            seconds = self._turn(AgentState(self.state.address, reachable=False, since=time.time()))
            _log.info("%s: left the agent after %.1f s", self.state.address, seconds)

    def _turn(self, state: AgentState) -> float:
        """Takes the new state; returns the seconds for which the previous one lasted."""
        previous, self._changed, self.state = self._changed, self._clock(), state
        return self._changed - previous

    def _note(self, why: RpcError) -> None:
        self._told.add(why.name)
        self._told_at = self._clock()

    def _reason(self, why: RpcError) -> str:
        message = why.message.removeprefix(f"{self.state.address}: ")[:_MAX_REASON]
        return message if why.name == "UNAVAILABLE" else f"{why.name}: {message}"
