"""One model on an agent: connects, registers the model, runs it, and reconnects when needed.

Callers name a model and inputs, never a connection, so that this is the place for a choice among
several agents.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from vaccel_common import tracing
from vaccel_rpc import rpcspans
from vaccel_rpc.addresses import Address
from vaccel_rpc.channels import Tls, connect
from vaccel_rpc.client import TIMINGS, RunResult, run_method
from vaccel_rpc.dialects import Profile, Version
from vaccel_rpc.errors import DeadlineExceeded, NotFound, RpcError, Unavailable
from vaccel_rpc.history import AgentState, ConnectionHistory
from vaccel_rpc.keeping import LinkKeeper, Waits
from vaccel_rpc.links import Link, Requests, RunOutcome, StartedRun
from vaccel_rpc.negotiation import DialectChoice, open_session
from vaccel_rpc.registering import ModelSource, Registrar
from vaccel_rpc.tensors import Tensor

#: Seconds for an agent to register the model, an upload of a gigabyte included.
_REGISTER_S = 300.0
#: How often a run is sent before its error is the answer. A run that ends its agent must not end
#: every agent that takes its place.
_TRIES = 3


class RemoteModel:
    """A model on the agent at ``address``. Thread-safe.

    It does not connect before `start`, `connect` or the first run. ``dialect``: which one to speak;
    ``auto`` finds out which one the agent speaks, again for each connection. ``agent_wait``: the
    seconds for which a run waits for an agent where there is none; None: until one attempt to
    connect has ended. A log has a line for each connection, with the dialect and whether the model
    was uploaded, and for its end.
    """

    def __init__(
        self,
        address: Address,
        source: ModelSource,
        *,
        connect_timeout: float = 5.0,
        tls: Tls | None = None,
        dialect: DialectChoice = "auto",
        agent_wait: float | None = None,
    ) -> None:
        self._address, self._connect_timeout, self._tls, self._dialect = address, connect_timeout, tls, dialect
        self._agent_wait = agent_wait
        self._registrar = Registrar(source)
        #: Service and method of a run, as the last agent has them.
        self._run_method: tuple[str, str] | None = None
        self._keeper = LinkKeeper(self._new_link, ConnectionHistory(str(address)))

    @property
    def ready(self) -> bool:
        """Whether it is connected, with a session and the model registered."""
        return self._keeper.up

    @property
    def _link(self) -> Link | None:
        return self._keeper.link

    @property
    def session_id(self) -> int:
        """The id of the current session; 0 before the first."""
        return self._link.session if self._link else 0

    @property
    def resource_id(self) -> int:
        """The model's resource id in the current session; 0 before the first."""
        return self._link.resource if self._link else 0

    @property
    def dialect(self) -> Version | None:
        """The dialect of the current connection; None before the first."""
        return self._link.client.version if self._link else None

    @property
    def uploaded(self) -> bool:
        """Whether the model's file had to be uploaded."""
        return self._link is not None and self._link.uploaded

    @property
    def registering_ns(self) -> int:
        """The nanoseconds that registering the model took in the current session, its upload included; 0 before the first."""
        return self._link.registering_ns if self._link else 0

    def start(self) -> None:
        """Connects in the background, and reconnects whenever the connection is lost, until
        `close`.
        """
        self._keeper.start()

    def connect(self, timeout: float | None = None) -> None:
        """Connects and registers the model, unless it is ready: one attempt. Raises `RpcError`."""
        self._keeper.get(None if timeout is None else time.monotonic() + timeout)

    def run(self, inputs: Sequence[Tensor], outputs: int, timeout: float | None = None) -> list[Tensor]:
        """One run; see `run_all`."""
        return self.run_all([inputs], outputs, timeout)[0]

    def run_all(self, requests: Requests, outputs: int, timeout: float | None = None) -> list[list[Tensor]]:
        """Each request's outputs; see `run_timed`."""
        return [ran.outputs for ran in self.run_timed(requests, outputs, timeout)]

    def run_timed(
        self,
        requests: Requests,
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
        requests: Requests,
        outputs: int,
        timeout: float | None = None,
        *,
        metadata: Mapping[str, str] | None = None,
        lost: StartedRun | None = None,
    ) -> list[RunOutcome]:
        """Runs the model on each request's inputs concurrently; the results are in order.

        A run that fails with its inputs (`RpcError.of_run`) has its error as result. ``metadata``,
        such as a trace, is sent with each run. ``lost``: what was tried before. Where the connection
        or the session is lost, it waits for an agent again and sends everything again, three times
        at most. Raises the first failure that concerns all runs: `Unavailable` where no agent took
        the run, `DeadlineExceeded` after ``timeout`` seconds, or the agent's error.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        if not tracing.on():
            return self._run_all(requests, outputs, deadline, metadata, lost)
        names = self._run_method or run_method("0.8" if self._dialect == "auto" else self._dialect)
        with rpcspans.client(self._address, *names, metadata) as span:
            span.set("vaccel.runs", len(requests))
            return self._run_all(requests, outputs, deadline, tracing.child_of(span, metadata), lost)

    def start_run(
        self,
        inputs: Sequence[Tensor],
        outputs: int,
        timeout: float,
        done: Callable[[], None],
        *,
        metadata: Mapping[str, str] | None = None,
    ) -> StartedRun | None:
        """Sends a run and returns at once; None where that would have to wait, or no agent can be reached.

        ``done`` is called from any thread when `StartedRun.result` no longer waits. Raises `RpcError`.
        """
        link = self._keeper.link
        if link is None or link.closed is not None:
            return None
        try:
            return StartedRun(link, link.start(inputs, outputs, timeout, {**(metadata or {}), TIMINGS: "1"}, done))
        except (BlockingIOError, Unavailable):
            return None

    def profile(self, timeout: float | None = None) -> Profile:
        """The current session's profile at the agent, by region; agents differ in what they record.

        Raises `RpcError`; `Unavailable` where there is no session, for no new one has a profile.
        """
        if not (link := self._link):
            raise Unavailable("the connection was lost")
        return link.client.profile(link.session, timeout)

    def agents(self) -> list[AgentState]:
        """The state of each agent that the address names."""
        return [self._keeper.state]

    def waits(self) -> Waits:
        """How many runs wait for an agent now, and how many have ever had to."""
        return self._keeper.waits

    def close(self) -> None:
        """Ends the connection and the background thread."""
        self._keeper.close()

    def _run_all(
        self,
        requests: Requests,
        outputs: int,
        deadline: float | None,
        metadata: Mapping[str, str] | None,
        lost: StartedRun | None,
    ) -> list[RunOutcome]:
        metadata = {**(metadata or {}), TIMINGS: "1"}
        tries = 0
        if lost and lost.error:
            self._keeper.drop(lost.link, lost.error)
            tries = 1
        while True:
            link = self._keeper.get(deadline, self._agent_wait)
            tries += 1
            try:
                return link.run_all(requests, outputs, deadline, metadata)
            except (NotFound, Unavailable) as error:
                # A new session does not have it either: the agent has no such model.
                if tries == _TRIES or (tries > 1 and isinstance(error, NotFound)):
                    raise
                self._keeper.drop(link, error)

    def _new_link(self, on_close: Callable[[], None]) -> Link:
        timeout = self._connect_timeout
        channel = connect(self._address, timeout, tls=self._tls, on_close=on_close)
        try:
            client, session = open_session(channel, self._dialect, timeout)
            self._run_method = client.run_method
            began = time.monotonic_ns()
            model = self._registrar.register(client, session, _REGISTER_S)
            registering_ns = time.monotonic_ns() - began
        except BaseException as error:
            channel.close()
            if isinstance(error, DeadlineExceeded):
                raise Unavailable(f"{self._address}: no reply while registering the model") from None
            raise
        how = f"the agent speaks dialect {client.version}; model {model.how}"
        return Link(client, session, model.resource, model.uploaded, registering_ns, how)
