"""Which client may use which id: scopes, sessions, resources. No I/O.

Over ttrpc a scope is a connection. Over gRPC, where meshes mix
the calls of clients on one connection, all clients share one scope, whose ids are random numbers
that nobody can guess.
"""

from __future__ import annotations

import itertools
import logging
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from agent.store.alias import Alias
from agent.store.model import StoredModel
from vaccel_rpc.dialects.telling import SpokenVersions
from vaccel_rpc.errors import NotFound, ResourceExhausted

_log = logging.getLogger("agent.session")
_resource_log = logging.getLogger("agent.resource")

#: Runs kept for a session's profile; older ones are dropped.
_RUNS = 1000
_MAX_RESOURCES = 1024


class ProfiledRun(NamedTuple):
    """When things happened in a run, in monotonic seconds; ``epoch``: nanoseconds of the epoch at monotonic 0.

    ``whole``: the region of the call, which ``began`` and was ``over``. For the others see
    `agent.batching.requests.CompletedRun`; the model ran from ``entered`` to ``left``.
    """

    whole: str
    epoch: int
    began: float
    over: float
    arrived: float
    released: float
    split: float
    entered: float
    left: float


@dataclass(eq=False)
class Resource:
    """A registered model or alias, while any session of its scope refers to it.

    ``sent``: name and sha256 of each file by whose bytes the client registered it; None where it
    named a path. ``named``: whether it named neither bytes nor a digest, so that it is told which
    model runs.
    """

    id: int
    registered: StoredModel | Alias
    sent: Sequence[tuple[str, str]] | None = None
    named: bool = False
    sessions: set[int] = field(default_factory=set)

    @property
    def alias(self) -> Alias | None:
        """The alias; None where it is a model."""
        return self.registered if isinstance(self.registered, Alias) else None

    @property
    def model(self) -> StoredModel:
        """The model; of an alias the one that it stands for now."""
        return self.registered.model if isinstance(self.registered, Alias) else self.registered

    async def of_run(self, metadata: Mapping[str, str]) -> StoredModel:
        """The model that runs a call with that metadata. Raises `RpcError`."""
        return await self.registered.of_run(metadata) if isinstance(self.registered, Alias) else self.registered


@dataclass(eq=False)
class RpcSession:
    """A client's session.

    ``busy``: calls now running in it; ``used``: when it was last used (monotonic seconds).
    ``announced``: its client understands that the agent shuts down (`vaccel_rpc.draining`). ``runs``:
    the last ones, for its profile.
    """

    id: int
    flags: int
    announced: bool = False
    resources: dict[int, Resource] = field(default_factory=dict)
    runs: deque[ProfiledRun] = field(default_factory=lambda: deque(maxlen=_RUNS))
    busy: int = 0
    used: float = field(default_factory=time.monotonic)

    def resource(self, resource: int) -> Resource:
        """The resource registered with this session under that id. Raises `NotFound`."""
        registered = self.resources.get(resource)
        if registered is None:
            raise NotFound(f"Unknown resource {resource} in session {self.id}")
        return registered

    def in_use(self) -> _InUse:
        """A context in which a call works in the session, which does not idle out meanwhile."""
        return _InUse(self)


class _InUse:
    """A class, as `contextlib.contextmanager` would cost each run microseconds."""

    def __init__(self, session: RpcSession) -> None:
        self._session = session

    def __enter__(self) -> None:
        self._session.busy += 1

    def __exit__(self, *_: object) -> None:
        self._session.busy -= 1
        self._session.used = time.monotonic()


class Sessions:
    """All sessions of the agent, by scope.

    ``release`` is called with what was registered when its resource is gone.
    """

    def __init__(self, limit: int, idle: float, release: Callable[[StoredModel | Alias], None]) -> None:
        self._limit, self._idle, self._release = limit, idle, release
        self._scopes: set[Scope] = set()
        self.session_ids, self.resource_ids = itertools.count(1), itertools.count(1)

    def __len__(self) -> int:
        return sum(len(scope.sessions) for scope in self._scopes)

    @property
    def resources(self) -> int:
        """Resources of all scopes."""
        return sum(len(scope.resources) for scope in self._scopes)

    @property
    def announced(self) -> int:
        """Sessions whose clients understand that the agent shuts down."""
        return sum(scope.announced for scope in self._scopes)

    def busy(self) -> list[tuple[RpcSession, str]]:
        """The sessions in which calls run, each with its client."""
        return [(session, scope.peer) for scope in self._scopes for session in scope.sessions.values() if session.busy]

    def scope(self, *, secret: bool) -> Scope:
        """A new scope. Its ids are consecutive numbers, or random (``secret``)."""
        scope = Scope(self, secret=secret)
        self._scopes.add(scope)
        return scope

    def check_limit(self) -> None:
        """Raises `ResourceExhausted` at the limit of sessions."""
        if len(self) >= self._limit:
            raise ResourceExhausted(
                f"{self._limit} sessions are open, the limit (--max-sessions)", retry_after=1, reason="sessions"
            )

    def forget(self, scope: Scope) -> None:
        """Ends a scope with its sessions and resources."""
        for session in list(scope.sessions):
            scope.destroy(session)
        self._scopes.discard(scope)

    def release(self, resource: Resource) -> None:
        """Passes on that the last reference to a resource is gone."""
        self._release(resource.registered)

    def expire(self) -> None:
        """Ends the sessions that have been idle for longer than the limit."""
        before = time.monotonic() - self._idle
        for scope in self._scopes:
            for session in [session for session in scope.sessions.values() if not session.busy and session.used < before]:
                _log.info("Session %d was idle for %g s", session.id, self._idle)
                scope.destroy(session.id)


class Scope:
    """The sessions and resources of one client; ids of another scope are unknown here."""

    def __init__(self, all_sessions: Sessions, *, secret: bool) -> None:
        self._all, self._secret = all_sessions, secret
        #: Its client, for the log.
        self.peer = "a gRPC client"
        self.sessions: dict[int, RpcSession] = {}
        self.resources: dict[int, Resource] = {}
        #: The RPC system of its clients: only gRPC's ids are secret.
        self.system: Literal["grpc", "ttrpc"] = "grpc" if secret else "ttrpc"
        self._spoken: SpokenVersions = {}

    @property
    def spoken(self) -> SpokenVersions:
        """Which dialects its client was found to speak.

        Over gRPC, where the calls of several clients may share a connection, nothing is known
        before a call.
        """
        return {} if self._secret else self._spoken

    @property
    def announced(self) -> int:
        """Its sessions whose clients understand that the agent shuts down."""
        return sum(session.announced for session in self.sessions.values())

    def session(self, session: int) -> RpcSession:
        """The session of that id, which now counts as used. Raises `NotFound`."""
        current = self.sessions.get(session)
        if current is None:
            raise NotFound(f"Unknown session {session}")
        current.used = time.monotonic()
        return current

    def create(self, flags: int, *, announced: bool = False) -> RpcSession:
        """A new session; ``announced``: see `RpcSession`. Raises `ResourceExhausted` at the limit."""
        self._all.check_limit()
        session = RpcSession(self._id(self._all.session_ids), flags, announced)
        self.sessions[session.id] = session
        _log.info("Created session %d", session.id)
        return session

    def destroy(self, session: int) -> None:
        """Ends a session and its references. Raises `NotFound`."""
        ending = self.session(session)
        for resource in list(ending.resources):
            self.unregister(ending, resource)
        del self.sessions[session]
        _log.info("Destroyed session %d", session)

    def add_resource(
        self,
        session: RpcSession,
        registered: StoredModel | Alias,
        sent: Sequence[tuple[str, str]] | None = None,
        *,
        named: bool = False,
    ) -> Resource:
        """A new resource of ``session`` for a model or alias, whose reference it takes over."""
        _resource_log.info("Creating new resource")
        resource = Resource(self._id(self._all.resource_ids), registered, sent, named)
        self.resources[resource.id] = resource
        self.register(session, resource)
        return resource

    def register(self, session: RpcSession, resource: Resource) -> None:
        """Registers a resource with one more session. Raises `ResourceExhausted` at the limit."""
        if len(session.resources) >= _MAX_RESOURCES:
            raise ResourceExhausted(f"session {session.id} has {_MAX_RESOURCES} resources, the limit", reason="resources")
        # Registered once more, it becomes the last one.
        session.resources.pop(resource.id, None)
        session.resources[resource.id] = resource
        resource.sessions.add(session.id)
        _resource_log.info("Registering resource %d with session %d", resource.id, session.id)

    def resource(self, resource: int) -> Resource:
        """The resource of that id. Raises `NotFound`."""
        registered = self.resources.get(resource)
        if registered is None:
            raise NotFound(f"Unknown resource {resource}")
        return registered

    def unregister(self, session: RpcSession, resource: int) -> None:
        """Drops a session's reference, and the resource with the last one. Raises `NotFound`."""
        registered = session.resource(resource)
        del session.resources[resource]
        registered.sessions.discard(session.id)
        _resource_log.info("Unregistered resource %d from session %d", resource, session.id)
        if not registered.sessions:
            del self.resources[resource]
            self._all.release(registered)

    def _id(self, count: itertools.count[int]) -> int:
        return secrets.randbits(63) | 1 if self._secret else next(count)
