"""One model on an agent: connects, registers the model, runs it, and reconnects when needed.

Callers name a model and inputs, never a connection, so that this is the place for a choice among
several agents.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vaccel_common import tracing
from vaccel_rpc import rpcspans
from vaccel_rpc.addresses import Address
from vaccel_rpc.channels import Tls, connect
from vaccel_rpc.client import TIMINGS, PendingResult, RunResult, VaccelClient, run_method
from vaccel_rpc.dialects import Profile, Version
from vaccel_rpc.errors import DeadlineExceeded, NotFound, RpcError, Unavailable
from vaccel_rpc.negotiation import DialectChoice, open_session
from vaccel_rpc.registering import ModelSource, Registrar, seconds_left
from vaccel_rpc.tensors import Tensor

_log = logging.getLogger("vaccel_rpc")

#: Seconds between attempts to connect: doubled from the first value up to the second.
_FIRST_PAUSE_S, _MAX_PAUSE_S = 0.05, 2.0

#: Runs of one request that are in flight at a time, so that a request of thousands leaves room in
#: the agent's queue.
_IN_FLIGHT = 256

_Requests = Sequence[Sequence[Tensor]]


@dataclass(frozen=True)
class _Link:
    client: VaccelClient
    session: int
    resource: int
    uploaded: bool
    registering_ns: int

    def run_all(self, requests: _Requests, outputs: int, deadline: float | None, metadata: Mapping[str, str]) -> list[RunResult]:
        """Runs all requests, at most `_IN_FLIGHT` at a time."""
        results: list[RunResult] = []
        in_flight: deque[PendingResult[RunResult]] = deque()
        for inputs in requests:
            if len(in_flight) == _IN_FLIGHT:
                results.append(in_flight.popleft().result())
            in_flight.append(
                self.client.start_run(self.session, self.resource, inputs, outputs, seconds_left(deadline), metadata)
            )
        return results + [pending.result() for pending in in_flight]


class RemoteModel:
    """A model on the agent at ``address``. Thread-safe.

    It does not connect before `start`, `connect` or the first run. ``dialect``: which one to speak;
    ``auto`` finds out which one the agent speaks, again for each connection. Each connection is
    logged at info, with the dialect and whether the model was uploaded.
    """

    def __init__(
        self,
        address: Address,
        source: ModelSource,
        *,
        connect_timeout: float = 5.0,
        tls: Tls | None = None,
        dialect: DialectChoice = "auto",
    ) -> None:
        self._address, self._connect_timeout, self._tls, self._dialect = address, connect_timeout, tls, dialect
        self._registrar = Registrar(source)
        #: Service and method of a run, as the last agent has them.
        self._run_method: tuple[str, str] | None = None
        self._link: _Link | None = None
        self._connecting = threading.Lock()
        self._problem: RpcError | None = None
        self._failures = 0
        self._lost = threading.Event()
        self._ended = False

    @property
    def ready(self) -> bool:
        """Whether it is connected, with a session and the model registered."""
        link = self._link
        return link is not None and link.client.channel.closed is None

    @property
    def problem(self) -> RpcError | None:
        """The last reason why it is not ready."""
        return None if self.ready else self._problem

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
        threading.Thread(target=self._keep_connected, name="agent connection", daemon=True).start()

    def connect(self, timeout: float | None = None) -> None:
        """Connects and registers the model, unless it is ready. Raises `RpcError`."""
        self._linked(None if timeout is None else time.monotonic() + timeout)

    def run(self, inputs: Sequence[Tensor], outputs: int, timeout: float | None = None) -> list[Tensor]:
        """One run; see `run_all`."""
        return self.run_all([inputs], outputs, timeout)[0]

    def run_all(self, requests: _Requests, outputs: int, timeout: float | None = None) -> list[list[Tensor]]:
        """Each request's outputs; see `run_timed`."""
        return [ran.outputs for ran in self.run_timed(requests, outputs, timeout)]

    def run_timed(
        self, requests: _Requests, outputs: int, timeout: float | None = None, *, metadata: Mapping[str, str] | None = None
    ) -> list[RunResult]:
        """Runs the model on each request's inputs concurrently; the results are in order.

        ``metadata``, such as a trace, is sent with each run. After a lost connection or session it
        reconnects and tries once more. Raises the first failure: `Unavailable` where no agent took
        the run, `DeadlineExceeded` after ``timeout`` seconds, or the agent's error.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        if not tracing.on():
            return self._run_all(requests, outputs, deadline, metadata)
        names = self._run_method or run_method("0.8" if self._dialect == "auto" else self._dialect)
        with rpcspans.client(self._address, *names, metadata) as span:
            span.set("vaccel.runs", len(requests))
            return self._run_all(requests, outputs, deadline, tracing.child_of(span, metadata))

    def profile(self, timeout: float | None = None) -> Profile:
        """The current session's profile at the agent, by region; agents differ in what they record.

        Raises `RpcError`; `Unavailable` where there is no session, for no new one has a profile.
        """
        if not (link := self._link):
            raise Unavailable("the connection was lost")
        return link.client.profile(link.session, timeout)

    def agents(self) -> list[tuple[str, bool]]:
        """Each agent's address, and whether it is reachable."""
        return [(str(self._address), self.ready)]

    def close(self) -> None:
        """Ends the connection and the background thread."""
        self._ended = True
        self._lost.set()
        with self._connecting:
            if self._link:
                self._link.client.close()

    def _run_all(
        self, requests: _Requests, outputs: int, deadline: float | None, metadata: Mapping[str, str] | None
    ) -> list[RunResult]:
        metadata = {**(metadata or {}), TIMINGS: "1"}
        link = self._linked(deadline)
        try:
            return link.run_all(requests, outputs, deadline, metadata)
        except (NotFound, Unavailable) as error:
            self._drop(link, error)
        return self._linked(deadline).run_all(requests, outputs, deadline, metadata)

    def _drop(self, link: _Link, why: RpcError) -> None:
        with self._connecting:
            if self._link is link:
                self._link, self._problem = None, why
        self._lost.set()
        link.client.close()

    def _linked(self, deadline: float | None) -> _Link:
        """The current link, or a new one. Callers that wait on a failed attempt share its error."""
        if self._link and self.ready:
            return self._link
        failures = self._failures
        if not self._connecting.acquire(timeout=-1 if deadline is None else seconds_left(deadline) or 0):
            raise Unavailable(f"{self._address}: still connecting")
        try:
            if self._link and self.ready:
                return self._link
            if self._ended:
                raise Unavailable("the connection was closed")
            if self._problem and self._failures != failures:
                raise self._problem
            self._link = self._new_link(deadline)
            return self._link
        except RpcError as error:
            self._link, self._problem, self._failures = None, error, self._failures + 1
            raise
        finally:
            self._connecting.release()

    def _new_link(self, deadline: float | None) -> _Link:
        left = seconds_left(deadline)
        timeout = self._connect_timeout if left is None else min(left, self._connect_timeout)
        channel = connect(self._address, timeout, tls=self._tls, on_close=self._lost.set)
        try:
            client, session = open_session(channel, self._dialect, timeout)
            self._run_method = client.run_method
            began = time.monotonic_ns()
            model = self._registrar.register(client, session, left)
            registering_ns = time.monotonic_ns() - began
        except BaseException as error:
            channel.close()
            if isinstance(error, DeadlineExceeded):
                raise Unavailable(f"{self._address}: no reply while registering the model") from None
            raise
        _log.info("%s: the agent speaks dialect %s; model %s", self._address, client.version, model.how)
        return _Link(client, session, model.resource, model.uploaded, registering_ns)

    def _keep_connected(self) -> None:
        pause = _FIRST_PAUSE_S
        while not self._ended:
            self._lost.clear()
            try:
                self._linked(None)
            except RpcError:
                time.sleep(pause)
                pause = min(2 * pause, _MAX_PAUSE_S)
                continue
            pause = _FIRST_PAUSE_S
            if self.ready:
                self._lost.wait()
