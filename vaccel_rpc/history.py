"""What becomes of the link to one agent: its present state, and a line in the log for each change."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, get_args

from vaccel_rpc.errors import RpcError

_log = logging.getLogger("vaccel_rpc")

#: Seconds between two lines that say that an agent still cannot be reached.
_REPEAT_S = 60.0
#: Characters of an agent's reason that are logged.
_MAX_REASON = 1000


#: The state of the link to an agent. ``connecting``: no attempt has ended yet. ``ready``: it has a
#: session and the model. ``draining``: the agent shuts down and answers what it took. ``suspect``: it
#: does not answer. ``failed``: there is no link, and attempts follow each other with a growing pause.
LinkState = Literal["connecting", "ready", "draining", "suspect", "failed"]
STATES: tuple[LinkState, ...] = get_args(LinkState)

_REASONS: dict[LinkState, str] = {
    "connecting": "connecting",
    "draining": "the agent is shutting down",
    "suspect": "the agent does not answer",
}


@dataclass(frozen=True)
class AgentState:
    """An agent as its client sees it.

    ``since``: when the link came into this state, in seconds of Unix time. ``problem``: why it
    failed; None in any other state.
    """

    address: str
    state: LinkState
    since: float
    problem: RpcError | None = None

    @property
    def usable(self) -> bool:
        """Whether runs are sent to it."""
        return self.state == "ready"

    @property
    def reason(self) -> str | None:
        """Why it is not ready, in words and without its address; None where it is."""
        return self.problem.detail if self.problem else _REASONS.get(self.state)


class ConnectionHistory:
    """The state of the link to the agent at ``address``, and its log.

    An outage has a line when it begins, one for each status code that the attempts to end it fail
    with, and otherwise one a minute. Its caller holds a lock. ``clock``: monotonic seconds.
    """

    def __init__(self, address: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.state = AgentState(address, "connecting", time.time())
        self._clock = clock
        self._changed = clock()
        self._was_reached = False
        #: Why the last attempt failed, or the last link ended.
        self._problem: RpcError | None = None
        #: Codes that the log of this outage has, and when its last line was written.
        self._told: set[str] = set()
        self._told_at = 0.0

    def reached(self, how: str) -> None:
        """The agent was reached; ``how``: its dialect, and how the model was registered."""
        seconds = self._turn(self._state("ready"))
        after = f" (after {seconds:.1f} s without an agent)" if self._was_reached else ""
        self._was_reached = True
        self._told.clear()
        _log.info("%s: %s%s", self.state.address, how, after)

    def lost(self, why: RpcError) -> None:
        """The connection, or the session in it, ended."""
        seconds = self._turn(self._state("failed", why))
        self._note(why)
        _log.warning("%s: lost the agent after %.1f s: %s", self.state.address, seconds, self._reason(why))

    def failed(self, why: RpcError, *, again: bool) -> None:
        """An attempt to reach the agent failed. It is logged if there will be others ``again``: else a caller gets the error."""
        self._problem = why
        if self.state.state == "failed":
            self.state = replace(self.state, problem=why)
        elif self.state.state != "draining":
            self.state = self._state("failed", why)
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

    def leaving(self, why: RpcError) -> None:
        """The agent has said that it shuts down; it still answers what it took. ``why``: what new attempts fail with."""
        self._problem = why
        seconds = self._turn(self._state("draining"))
        self._note(why)
        _log.info("%s: leaving the agent after %.1f s: it shuts down", self.state.address, seconds)

    def drained(self) -> None:
        """The agent that was leaving has answered everything, or has ended."""
        if self.state.state == "draining":
            self.state = self._state("failed", self._problem)

    def left(self) -> None:
        """The client closed the connection."""
        if self.state.state in ("ready", "suspect"):
            seconds = self._turn(self._state("connecting"))
            _log.info("%s: left the agent after %.1f s", self.state.address, seconds)

    def suspected(self, seconds: float) -> None:
        """The agent has not answered for so many seconds."""
        self.state = self._state("suspect")
        _log.warning("%s: does not answer for %.1f s", self.state.address, seconds)

    def answered(self) -> None:
        """A suspect agent answers again."""
        self.state = self._state("ready")
        _log.info("%s: answers again", self.state.address)

    def _state(self, state: LinkState, problem: RpcError | None = None) -> AgentState:
        return AgentState(self.state.address, state, time.time(), problem)

    def _turn(self, state: AgentState) -> float:
        """Takes the new state; returns the seconds for which the previous one lasted."""
        previous, self._changed, self.state = self._changed, self._clock(), state
        return self._changed - previous

    def _note(self, why: RpcError) -> None:
        self._told.add(why.name)
        self._told_at = self._clock()

    def _reason(self, why: RpcError) -> str:
        detail = why.detail[:_MAX_REASON]
        return detail if why.name == "UNAVAILABLE" else f"{why.name}: {detail}"
