"""A connection to an agent with a session and a registered model, and the runs over it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from vaccel_rpc.client import PendingResult, RunResult, VaccelClient
from vaccel_rpc.errors import NotFound, RpcError, Unavailable
from vaccel_rpc.registering import seconds_left
from vaccel_rpc.tensors import Tensor

#: Runs of one request that are in flight at a time, so that a request of thousands leaves room in
#: the agent's queue.
_IN_FLIGHT = 256

Requests = Sequence[Sequence[Tensor]]
#: What became of a run: its result, or its own error (`RpcError.of_run`).
RunOutcome = RunResult | RpcError


@dataclass(frozen=True)
class Link:
    """The ``client`` of a connection, with the ids of its session and of the model in that.

    ``uploaded``: whether the model's file was sent, ``registering_ns``: how long that took, ``how``:
    in words, for the log.
    """

    client: VaccelClient
    session: int
    resource: int
    uploaded: bool
    registering_ns: int
    how: str

    @property
    def closed(self) -> RpcError | None:
        """Why the connection ended; None while it is open."""
        return self.client.channel.closed

    def close(self) -> None:
        """Ends the connection."""
        self.client.close()

    def start(
        self,
        inputs: Sequence[Tensor],
        outputs: int,
        timeout: float | None,
        metadata: Mapping[str, str],
        done: Callable[[], None] | None = None,
    ) -> PendingResult[RunResult]:
        """Sends a run."""
        return self.client.start_run(self.session, self.resource, inputs, outputs, timeout, metadata, done)

    def run_all(self, requests: Requests, outputs: int, deadline: float | None, metadata: Mapping[str, str]) -> list[RunOutcome]:
        """Runs all requests, at most `_IN_FLIGHT` at a time. Raises `RpcError` that is not `RpcError.of_run`."""
        results: list[RunOutcome] = []
        in_flight: deque[PendingResult[RunResult]] = deque()
        for inputs in requests:
            if len(in_flight) == _IN_FLIGHT:
                results.append(_outcome(in_flight.popleft()))
            in_flight.append(self.start(inputs, outputs, seconds_left(deadline), metadata))
        return results + [_outcome(pending) for pending in in_flight]


def _outcome(pending: PendingResult[RunResult]) -> RunOutcome:
    try:
        return pending.result()
    except RpcError as error:
        if error.of_run:
            return error
        raise


@dataclass
class StartedRun:
    """A run that was sent, and that no thread waits for. ``error``: why it was lost, after `result`."""

    link: Link
    pending: PendingResult[RunResult]
    error: RpcError | None = None

    def result(self) -> RunResult | None:
        """The run's result; None where its connection or session was lost. Raises any other `RpcError`."""
        try:
            return self.pending.result()
        except (NotFound, Unavailable) as error:
            self.error = error
            return None
