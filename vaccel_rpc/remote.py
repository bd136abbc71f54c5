"""One model on the agents that an address names: connects, registers the model, runs it, and reconnects when needed.

Callers name a model and inputs, never a connection: which agent runs what is the pool's business.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence

from vaccel_rpc.channels import Tls, connect
from vaccel_rpc.client import RunResult
from vaccel_rpc.dialects import Profile
from vaccel_rpc.draining import ANNOUNCEMENT
from vaccel_rpc.errors import DeadlineExceeded, RpcError, Unavailable
from vaccel_rpc.extensions import MODEL, REQUEST, TIMINGS
from vaccel_rpc.history import AgentState
from vaccel_rpc.links import AgentLink
from vaccel_rpc.negotiation import DialectChoice, open_session
from vaccel_rpc.onemodel import of_one_model
from vaccel_rpc.pool.figures import PoolFigures
from vaccel_rpc.pool.health import Health
from vaccel_rpc.pool.members import Member
from vaccel_rpc.pool.pool import AgentPool
from vaccel_rpc.pool.runs import Inputs, PooledRuns, RunLink, RunOutcome, StartedRun
from vaccel_rpc.pool.targets import AgentEndpoint, Target
from vaccel_rpc.pool.tries import Tries
from vaccel_rpc.registering import ModelSource, Registrar
from vaccel_rpc.tensors import Tensor

#: Seconds for an agent to register the model, an upload of a gigabyte included.
_REGISTER_S = 300.0


class RemoteModel:
    """A model on the agents that ``targets`` name. Thread-safe.

    It does not connect before `start`, `connect` or the first run. ``dialect``: which one to speak;
    ``auto`` finds out which one an agent speaks, again for each connection. ``agent_wait``: the
    seconds for which a run waits for an agent where there is none; None: until one attempt to
    connect has ended. A log has a line for each connection, with the dialect and whether the model
    was uploaded, and for its end.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        source: ModelSource,
        *,
        connect_timeout: float = 5.0,
        tls: Tls | None = None,
        dialect: DialectChoice = "auto",
        agent_wait: float | None = None,
    ) -> None:
        self._source = source
        self._connect_timeout, self._tls, self._dialect = connect_timeout, tls, dialect
        self._pool: AgentPool[RunLink] = AgentPool(targets, self._connector)
        self._health: Health[RunLink] = Health(self._pool)
        self.runs = PooledRuns(self._pool, self._health, agent_wait)

    @property
    def ready(self) -> bool:
        """Whether an agent is connected, with a session and the model registered."""
        return bool(self._pool.usable)

    @property
    def link(self) -> AgentLink | None:
        """The first agent's link that can be used, or was used last; None before there is one."""
        links = [member.keeper.link for member in self._pool.usable or self._pool.members]
        return next((link for link in links if isinstance(link, AgentLink)), None)

    def start(self) -> None:
        """Connects in the background, and reconnects whenever a connection is lost, until `close`."""
        self._pool.start()

    def connect(self, timeout: float | None = None) -> None:
        """Connects and registers the model, unless it is ready: one attempt. Raises `RpcError`."""
        self._pool.take(0, deadline=None if timeout is None else time.monotonic() + timeout)

    def run(self, inputs: Sequence[Tensor], outputs: int, timeout: float | None = None) -> list[Tensor]:
        """One run; see `run_all`."""
        return self.run_all([inputs], outputs, timeout)[0]

    def run_all(self, requests: Sequence[Inputs], outputs: int, timeout: float | None = None) -> list[list[Tensor]]:
        """Each request's outputs; see `run_timed`."""
        return [ran.outputs for ran in self.run_timed(requests, outputs, timeout)]

    def run_timed(
        self,
        requests: Sequence[Inputs],
        outputs: int,
        timeout: float | None = None,
        *,
        metadata: Mapping[str, str] | None = None,
        lost: StartedRun | None = None,
    ) -> list[RunResult]:
        """`run_each` where every run must succeed: raises the first error of any."""
        results: list[RunResult] = []
        for outcome in self.run_each(requests, outputs, timeout, metadata=metadata, lost=lost):
            if isinstance(outcome, RpcError):
                raise outcome
            results.append(outcome)
        return results

    def run_each(
        self,
        requests: Sequence[Inputs],
        outputs: int,
        timeout: float | None = None,
        *,
        metadata: Mapping[str, str] | None = None,
        lost: StartedRun | None = None,
    ) -> list[RunOutcome]:
        """Runs the model on each request's inputs concurrently; the results are in order.

        A run that fails with its inputs (`RpcError.of_run`) has its error as result. All are by the same
        model, even where its name is an alias that changes meanwhile (`vaccel_rpc.onemodel`). What an
        agent did not take, or lost, is sent again, three times at most (`vaccel_rpc.pool.runs`).
        ``metadata``: a trace context, the parent of each try's span (`vaccel_rpc.pool.tries`).
        ``lost``: the run, if `start_run` sent it before.
        Raises the first failure that concerns all runs: `Unavailable` where no agent took the run,
        `DeadlineExceeded` after ``timeout`` seconds, or the agent's error.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        if len(requests) == 1 or not self._source.named:
            return self.runs.run_all(requests, outputs, deadline, Tries(metadata, {TIMINGS: "1"}), lost)
        others = {TIMINGS: "1", REQUEST: uuid.uuid4().hex}

        def run_again(places: list[int], model: str) -> list[RunOutcome]:
            tries = Tries(metadata, {**others, MODEL: model})
            return self.runs.run_all([requests[i] for i in places], outputs, deadline, tries)

        return of_one_model(self.runs.run_all(requests, outputs, deadline, Tries(metadata, others), lost), run_again)

    def start_run(
        self,
        inputs: Inputs,
        outputs: int,
        timeout: float,
        done: Callable[[], None],
        *,
        metadata: Mapping[str, str] | None = None,
    ) -> StartedRun | None:
        """Sends a run and returns at once; None where that would have to wait, or no agent can be reached.

        ``done`` is called from any thread when `StartedRun.result` no longer waits. Raises `RpcError`.
        """
        return self.runs.start(inputs, outputs, timeout, Tries(metadata, {TIMINGS: "1"}), done)

    def profile(self, timeout: float | None = None) -> Profile:
        """The current session's profile at the agent, by region; agents differ in what they record.

        Raises `RpcError`; `Unavailable` where there is no session, for no new one has a profile.
        """
        if not (link := self.link):
            raise Unavailable("the connection was lost")
        return link.client.profile(link.session, timeout)

    @property
    def members(self) -> tuple[Member[RunLink], ...]:
        """The agents, each with its link and load."""
        return self._pool.members

    def agents(self) -> list[AgentState]:
        """The state of each agent that the address names."""
        return self._pool.states

    def figures(self) -> PoolFigures:
        """What the pool has done so far."""
        runs = {str(member.endpoint): member.load.answered for member in self._pool.members}
        return PoolFigures(self._pool.waits, runs, dict(self.runs.retries), self._health.suspects, self._pool.drains)

    def close(self) -> None:
        """Ends the connections and the background threads."""
        self._health.close()
        self._pool.close()

    def _connector(self, endpoint: AgentEndpoint) -> Callable[[Callable[[], None]], AgentLink]:
        registrar = Registrar(self._source)
        return lambda on_change: self._new_link(endpoint, registrar, on_change)

    def _new_link(self, endpoint: AgentEndpoint, registrar: Registrar, on_change: Callable[[], None]) -> AgentLink:
        timeout = self._connect_timeout
        channel = connect(endpoint.address, timeout, tls=self._tls, on_change=on_change, name=endpoint.name)
        try:
            client, session = open_session(channel, self._dialect, timeout, ANNOUNCEMENT)
            began = time.monotonic_ns()
            model = registrar.register(client, session, _REGISTER_S)
            link = AgentLink(client, session, model, time.monotonic_ns() - began)
        except BaseException as error:
            channel.close()
            if isinstance(error, DeadlineExceeded):
                raise Unavailable("no reply while registering the model", at=endpoint) from None
            raise
        if len(self._pool.members) > 1:
            # Others run what is sent meanwhile.
            link.load()
        return link
