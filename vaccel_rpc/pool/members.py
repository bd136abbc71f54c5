"""One agent of a pool: its link, its load, and whether it takes runs."""

from __future__ import annotations

import time
from typing import Generic, TypeVar

from vaccel_rpc.errors import RpcError, Unavailable
from vaccel_rpc.history import AgentState
from vaccel_rpc.keeping import Link, LinkKeeper
from vaccel_rpc.pool.load import Load
from vaccel_rpc.pool.targets import AgentEndpoint

L = TypeVar("L", bound=Link)


class Member(Generic[L]):
    """An agent of the pool.

    ``leaving``: its name has no record of it any more. ``full_until``: monotonic seconds before which
    it has no room for more runs.
    """

    def __init__(self, endpoint: AgentEndpoint, keeper: LinkKeeper[L]) -> None:
        self.endpoint, self.keeper = endpoint, keeper
        self.load = Load()
        self.preferred = endpoint.preferred
        self.leaving = False
        self.full_until = 0.0

    @property
    def usable(self) -> bool:
        """Whether runs can be sent to it."""
        return self.keeper.up and not self.leaving

    @property
    def suspect(self) -> bool:
        """Whether it does not answer any more; it gets no runs until it does."""
        return self.keeper.suspect

    @property
    def problem(self) -> RpcError | None:
        """Why it gets no runs, as far as is known; None where it does."""
        return Unavailable("the agent does not answer", at=self.endpoint) if self.suspect else self.keeper.problem

    @property
    def warm(self) -> bool:
        """Whether the model is in its memory."""
        link = self.keeper.link
        return link is not None and link.warm

    @property
    def has_room(self) -> bool:
        """Whether it has not refused a run for want of room just now."""
        return not self.full_until or self.full_until <= time.monotonic()

    @property
    def state(self) -> AgentState:
        """The state of its link."""
        return self.keeper.state
