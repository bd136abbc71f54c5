"""Runs over a pool: each is sent to an agent that is picked for it, and again to another where that may help.

Runs change nothing at an agent, so that one whose answer was lost can be run again.
"""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from vaccel_common import tracing
from vaccel_common.tracing import Span
from vaccel_rpc import rpcspans
from vaccel_rpc.client import PendingResult, RunResult
from vaccel_rpc.errors import Cancelled, NotFound, ResourceExhausted, RpcError, Unavailable
from vaccel_rpc.pool.budget import RetryBudget
from vaccel_rpc.pool.health import Health, PingedLink
from vaccel_rpc.pool.load import OutstandingRun
from vaccel_rpc.pool.members import Member
from vaccel_rpc.pool.pool import AgentPool
from vaccel_rpc.pool.tries import Tries
from vaccel_rpc.registering import seconds_left
from vaccel_rpc.tensors import Tensor

if TYPE_CHECKING:
    import asyncio

#: How often a run is sent before its error is the answer. A run that ends its agent must not end
#: every agent that takes its place.
MAX_TRIES = 3
#: Runs of one request that are in flight at a time, so that a request of thousands leaves room in
#: the agents' queues.
_IN_FLIGHT = 256
#: Seconds for which an agent that refused a run for want of room gets no other, where it does not
#: say how long, and at most.
_FULL_S, _MAX_FULL_S = 0.1, 1.0
_FORGOTTEN = Cancelled("nobody waits for the result any more")

Inputs = Sequence[Tensor]
#: What became of a run: its result, or its own error (`RpcError.of_run`).
RunOutcome = RunResult | RpcError


class RunLink(PingedLink, Protocol):
    """A link that runs a model."""

    @property
    def run_method(self) -> tuple[str, str]:
        """Service and method of its runs, by their names on the wire."""

    def start_run(
        self,
        inputs: Inputs,
        outputs: int,
        timeout: float | None,
        metadata: Mapping[str, str],
        done: Callable[[], None] | None = None,
    ) -> PendingResult[RunResult]:
        """Sends a run without waiting for it; ``done``: see `vaccel_rpc.channels.Channel.start`. Raises `RpcError`."""

    def read_in(self, loop: asyncio.AbstractEventLoop) -> None:
        """Has ``loop`` read the results; see `vaccel_rpc.channels.Channel`."""


def may_run_again(error: RpcError, tries: int, *, room_elsewhere: bool) -> bool:
    """Whether a run that failed so, after ``tries``, may succeed if it is sent once more.

    What an agent did not take or lost with its connection may; an agent that forgot the session gets
    a new one once; an agent without room leaves the run to one that has some. Time that has passed,
    and what the model or the agent say of the run itself, does not change.
    """
    if tries >= MAX_TRIES:
        return False
    if isinstance(error, ResourceExhausted):
        return room_elsewhere and not error.memory
    return isinstance(error, Unavailable) or (isinstance(error, NotFound) and tries == 1)


class _Run:
    """One run, until it is answered.

    ``failed_on``: the agents that it was sent to in vain; ``reason``: why it is sent again, in words.
    """

    __slots__ = ("failed_on", "inputs", "reason", "tokens", "tries")

    def __init__(self, inputs: Inputs) -> None:
        self.inputs = inputs
        self.tokens = math.prod(inputs[0].dims) if inputs else 1
        self.tries = 0
        self.failed_on: tuple[Member[RunLink], ...] = ()
        self.reason = ""


class _Pending(Protocol):
    """What a run's result comes from."""

    @property
    def arrived(self) -> int | None:
        """When it was there; see `vaccel_rpc.channels.PendingReply`."""

    def result(self) -> RunResult:
        """Waits for the result. Raises `RpcError`."""


class _Failed:
    """The result of a run that failed while it was sent."""

    arrived = None

    def __init__(self, error: RpcError) -> None:
        self._error = error

    def result(self) -> RunResult:
        """Raises the error."""
        raise self._error


_UNSENT = _Failed(Cancelled("the run was not sent"))


class _Sent:
    """A run on its way to one agent. ``span``: that of this try; ``pending``: its result, unless sending it failed."""

    __slots__ = ("link", "member", "pending", "span", "started")

    def __init__(self, member: Member[RunLink], link: RunLink, started: OutstandingRun, span: Span) -> None:
        self.member, self.link, self.started, self.span = member, link, started, span
        self.pending: _Pending = _UNSENT

    def over(self, error: BaseException | None) -> None:
        """The agent does not work on it any more, or nobody waits for it; ``error``: None where it was answered."""
        self.member.load.end(self.started, answered=error is None)
        if self.span is not tracing.NOTHING:
            # Results are taken in the order of a request's runs; the agent may have been quicker.
            rpcspans.end(self.span, error, at=self.pending.arrived)
            # A run that is over may be forgotten, too.
            self.span = tracing.NOTHING


class StartedRun:
    """A run that was sent, and that no thread waits for."""

    def __init__(self, runs: PooledRuns, run: _Run, sent: _Sent) -> None:
        self._runs, self.run, self._sent = runs, run, sent

    def result(self) -> RunResult | None:
        """The run's result; None where it may be sent once more. Raises any other `RpcError`."""
        return self._runs.result_of(self.run, self._sent)

    def read_in(self, loop: asyncio.AbstractEventLoop) -> None:
        """Has ``loop``, in whose thread this is called, read the result where that is possible."""
        self._sent.link.read_in(loop)

    def forget(self) -> None:
        """Nobody waits for it any more."""
        self._sent.over(_FORGOTTEN)


class PooledRuns:
    """Sends runs to the agents of a pool.

    ``wait``: see `AgentPool.take`. ``retries``: runs that were sent again, by the status that was
    the reason.
    """

    def __init__(self, pool: AgentPool[RunLink], health: Health[RunLink], wait: float | None) -> None:
        self._pool, self._health, self._wait = pool, health, wait
        self._budget = RetryBudget()
        self.retries: Counter[str] = Counter()

    def run_all(
        self,
        requests: Sequence[Inputs],
        outputs: int,
        deadline: float | None,
        tries: Tries,
        lost: StartedRun | None = None,
    ) -> list[RunOutcome]:
        """What became of each run, in order; ``lost``: the first one was sent before, and may be sent once more.

        Raises the first error that is not `RpcError.of_run`, and that nothing could mend.
        """
        results: list[RunOutcome] = []
        in_flight: deque[tuple[_Run, _Sent]] = deque()

        def send(run: _Run) -> _Sent:
            return self._sent(run, outputs, deadline, tries)

        try:
            for inputs in requests:
                if len(in_flight) == _IN_FLIGHT:
                    results.append(self._outcome(*in_flight.popleft(), send))
                run, lost = lost.run if lost else _Run(inputs), None
                in_flight.append((run, send(run)))
            while in_flight:
                results.append(self._outcome(*in_flight.popleft(), send))
        finally:
            for _, sent in in_flight:
                sent.over(_FORGOTTEN)
        return results

    def start(self, inputs: Inputs, outputs: int, timeout: float, tries: Tries, done: Callable[[], None]) -> StartedRun | None:
        """Sends a run and returns at once; None where that would have to wait, or no agent can be reached.

        ``done`` is called from any thread when `StartedRun.result` no longer waits. Raises `RpcError`.
        """
        run = _Run(inputs)
        picked = self._pool.pick(run.tokens)
        if picked is None:
            return None
        sent, metadata = self._begun(run, *picked, tries)
        try:
            sent.pending = picked[1].start_run(inputs, outputs, timeout, metadata, done)
        except BlockingIOError:
            sent.over(_FORGOTTEN)
            return None
        except RpcError as error:
            # The agent may have got the run nevertheless.
            sent.pending = _Failed(error)
            done()
        except BaseException as error:
            sent.over(error)
            raise
        self._budget.called()
        if self._health.asleep:
            self._health.wake()
        return StartedRun(self, run, sent)

    def result_of(self, run: _Run, sent: _Sent) -> RunResult | None:
        """The result of a run that was sent; None where it may be sent once more. Raises any other `RpcError`."""
        try:
            result = sent.pending.result()
        except BaseException as error:
            sent.over(error)
            if not isinstance(error, RpcError):
                raise
            self._prepare_retry(run, sent.member, sent.link, error)
            return None
        sent.over(None)
        return result

    def _sent(self, run: _Run, outputs: int, deadline: float | None, tries: Tries) -> _Sent:
        """Sends a run; where its agent refuses it at once, to another. Raises `RpcError`."""
        while True:
            member, link = self._pool.pick(run.tokens, run.failed_on) or self._awaited(run, deadline, tries)
            sent, metadata = self._begun(run, member, link, tries)
            if run.tries == 1:
                self._budget.called()
            if self._health.asleep:
                self._health.wake()
            try:
                sent.pending = link.start_run(run.inputs, outputs, seconds_left(deadline), metadata)
            except BaseException as error:
                sent.over(error)
                if not isinstance(error, RpcError):
                    raise
                self._prepare_retry(run, member, link, error)
            else:
                return sent

    def _awaited(self, run: _Run, deadline: float | None, tries: Tries) -> tuple[Member[RunLink], RunLink]:
        with tries.waiting():
            return self._pool.take(run.tokens, deadline=deadline, wait=self._wait, avoid=run.failed_on)

    def _begun(self, run: _Run, member: Member[RunLink], link: RunLink, tries: Tries) -> tuple[_Sent, Mapping[str, str]]:
        """A try that is to be sent, and its metadata."""
        span, metadata = tries.begin(member.endpoint.address, link.run_method, run.tries, run.reason)
        run.tries += 1
        return _Sent(member, link, member.load.begin(run.tokens), span), metadata

    def _outcome(self, run: _Run, sent: _Sent, send: Callable[[_Run], _Sent]) -> RunOutcome:
        """The run's result; where its agent is lost, another's. Raises `RpcError` that is not `RpcError.of_run`."""
        try:
            while (result := self.result_of(run, sent)) is None:
                sent = send(run)
        except RpcError as error:
            if error.of_run:
                return error
            raise
        return result

    def _prepare_retry(self, run: _Run, member: Member[RunLink], link: RunLink, error: RpcError) -> None:
        """Raises the error unless the run may be sent again."""
        if isinstance(error, ResourceExhausted) and not error.memory:
            member.full_until = time.monotonic() + min(error.retry_after or _FULL_S, _MAX_FULL_S)
        again = may_run_again(error, run.tries, room_elsewhere=self._pool.others(member))
        if not again or not self._budget.retry():
            raise error
        if isinstance(error, Unavailable | NotFound):
            # An agent that shuts down refuses this run, and still answers those that it took.
            member.keeper.drop(link, error, finish=True)
        run.failed_on = (*run.failed_on, member)
        run.reason = f"{error.name}: {error.detail}"
        self.retries[error.name] += 1
