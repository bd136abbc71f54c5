"""The agents that can be used now, and those who wait for one."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Collection, Sequence
from typing import Generic, TypeVar

from vaccel_rpc.errors import RpcError, Unavailable, together
from vaccel_rpc.history import AgentState, ConnectionHistory
from vaccel_rpc.keeping import Link, LinkKeeper
from vaccel_rpc.pool.discovery import Discovery, LookUp, endpoints, look_up
from vaccel_rpc.pool.figures import Waits
from vaccel_rpc.pool.members import Member
from vaccel_rpc.pool.picking import pick
from vaccel_rpc.pool.targets import AgentEndpoint, Target, show

L = TypeVar("L", bound=Link)

#: Seconds for the runs of an agent that leaves.
_LEAVE_S = 60.0

#: Makes links to one agent; its argument is called when the link ends. Raises `RpcError`.
Connect = Callable[[Callable[[], None]], L]
#: What makes links to an agent.
Connector = Callable[[AgentEndpoint], Connect[L]]


class AgentPool(Generic[L]):
    """A link for each agent that the targets name; thread-safe.

    Nothing is looked up or connected before `start` or `take`. ``waits``: the callers that wait.
    """

    def __init__(self, targets: Sequence[Target], connector: Connector[L], look_up: LookUp = look_up) -> None:
        self._targets, self._connector = tuple(targets), connector
        self._lock = threading.Lock()
        #: An attempt or a look-up has ended, or a link.
        self._changed = threading.Condition(self._lock)
        self._members: dict[AgentEndpoint, Member[L]] = {}
        #: As `members`; replaced, never changed.
        self.members: tuple[Member[L], ...] = ()
        self._discovery = Discovery(targets, self._found, look_up)
        self._always = self._ended = False
        self._since = time.time()
        self.waits = Waits()
        #: Those of agents that are no members any more.
        self._past_drains = 0
        self._found(endpoints(targets, {}))

    @property
    def states(self) -> list[AgentState]:
        """The state of each agent, and one for each name that led to none."""
        unknown = [
            AgentState(str(target.address), "failed" if problem else "connecting", self._since, problem)
            for target, problem in self._discovery.unknown
        ]
        return [member.state for member in self.members] + unknown

    @property
    def drains(self) -> int:
        """How often an agent said that it shuts down."""
        return self._past_drains + sum(member.keeper.drains for member in self.members)

    @property
    def usable(self) -> list[Member[L]]:
        """The members to which runs can be sent."""
        return [member for member in self.members if member.usable]

    def start(self) -> None:
        """Keeps a link to each agent from now on, whether or not a caller waits, until `close`."""
        with self._lock:
            self._always = True
            members = self.members
        self._discovery.start()
        for member in members:
            member.keeper.start()

    def pick(self, tokens: int, avoid: Collection[Member[L]] = ()) -> tuple[Member[L], L] | None:
        """As `take`, without waiting: None where there is no agent now."""
        members = self.members
        if len(members) == 1:
            candidates: Sequence[Member[L]] = members
        else:
            usable = [member for member in members if member.usable]
            answering = [member for member in usable if not member.suspect]
            warm = [member for member in answering if member.warm] or answering
            with_room = [member for member in warm if member.has_room] or warm
            candidates = [member for member in with_room if member not in avoid] or with_room
            if not candidates:
                return None
        member = pick(candidates, tokens, random.randrange)
        link = member.keeper.link
        if link is None or link.closed is not None or member.leaving or member.suspect:
            return None
        return member, link

    def take(
        self, tokens: int, *, deadline: float | None = None, wait: float | None = None, avoid: Collection[Member[L]] = ()
    ) -> tuple[Member[L], L]:
        """An agent for a run of so many tokens, and its link. Where there is none it waits.

        ``wait``: seconds, at most until ``deadline`` (monotonic). None: until each agent's present
        attempt, or else the next, has ended. ``avoid``: agents that are taken only where no other is
        there. Raises `Unavailable` when time is up, and at once any other error that every agent's
        attempt ended with, which waiting would not mend.
        """
        return self.pick(tokens, avoid) or self._awaited(tokens, deadline, wait, avoid)

    def others(self, member: Member[L]) -> bool:
        """Whether another agent can be used that answers and has room."""
        return any(
            other.usable and other.warm and other.has_room and not other.suspect for other in self.members if other is not member
        )

    def close(self) -> None:
        """Ends the links and the threads; whoever waits gets `Unavailable`."""
        self._discovery.close()
        with self._changed:
            self._ended = True
            members, self.members = self.members, ()
            self._changed.notify_all()
        for member in members:
            member.keeper.close()

    def _awaited(
        self, tokens: int, deadline: float | None, wait: float | None, avoid: Collection[Member[L]]
    ) -> tuple[Member[L], L]:
        give_up = None if wait is None else time.monotonic() + wait
        ends = [end for end in (deadline, give_up) if end is not None]
        self._discovery.start()
        with self._changed:
            before = {member: member.keeper.attempts for member in self.members}
            rounds = self._discovery.rounds
            self.waits = Waits(self.waits.now + 1, self.waits.ever + 1)
        try:
            while True:
                for member in self.members:
                    member.keeper.hurry()
                self._discovery.hurry()
                with self._changed:
                    if picked := self.pick(tokens, avoid):
                        return picked
                    left = min(ends) - time.monotonic() if ends else None
                    attempted = self._discovery.rounds != rounds or not self._discovery.unknown
                    attempted = attempted and all(member.keeper.attempts != before.get(member, 0) for member in self.members)
                    self._check(left, attempted=attempted, once=wait is None)
                    self._changed.wait(left)
        finally:
            with self._changed:
                self.waits = Waits(self.waits.now - 1, self.waits.ever)

    def _check(self, left: float | None, *, attempted: bool, once: bool) -> None:
        """Raises the error for a caller that need not wait any longer."""
        if self._ended:
            raise Unavailable("the connection was closed")
        problems = self._problems()
        final = attempted and (once or not any(isinstance(problem, Unavailable) for problem in problems))
        if final or (left is not None and left <= 0):
            failed = [problem for problem in problems if problem]
            others = [problem for problem in failed if not isinstance(problem, Unavailable)]
            raise together(others[:1] or failed) if failed else Unavailable("still connecting", at=show(self._targets))

    def _problems(self) -> list[RpcError | None]:
        return [member.problem for member in self.members] + [problem for _, problem in self._discovery.unknown]

    def _found(self, present: Sequence[AgentEndpoint]) -> None:
        """Takes the agents that there are now as members; those that are no more leave."""
        with self._changed:
            if self._ended:
                return
            added = [endpoint for endpoint in present if endpoint not in self._members]
            removed = [self._members.pop(endpoint) for endpoint in [*self._members] if endpoint not in present]
            for endpoint in added:
                self._members[endpoint] = self._member(endpoint)
            for member in removed:
                member.leaving = True
                self._past_drains += member.keeper.drains
            self.members = tuple(self._members.values())
            always = self._always
            self._changed.notify_all()
        if always:
            for endpoint in added:
                self._members[endpoint].keeper.start()
        for member in removed:
            threading.Thread(target=_leave, args=(member,), name="leaving agent", daemon=True).start()

    def _member(self, endpoint: AgentEndpoint) -> Member[L]:
        connect = self._connector(endpoint)

        def connected(on_change: Callable[[], None]) -> L:
            def changed() -> None:
                # Its name may lead elsewhere by now.
                self._discovery.hurry()
                on_change()

            return connect(changed)

        history = ConnectionHistory(str(endpoint))
        return Member(endpoint, LinkKeeper(connected, history, self._notify, lambda: self.waits.now > 0))

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()


def _leave(member: Member[L]) -> None:
    """Ends the link once the member's runs are over."""
    end = time.monotonic() + _LEAVE_S
    while member.load.runs and time.monotonic() < end:
        time.sleep(0.1)
    member.keeper.close()
