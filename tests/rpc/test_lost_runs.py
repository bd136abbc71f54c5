"""Runs that are in flight when their agent ends: sent again to the agent that takes its place, a few times at most."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.playedagent import PlayedAgent, UpstreamAgent, played
from tests.support.recorded import WIRE
from vaccel_rpc.awaiting import AwaitedRuns
from vaccel_rpc.errors import DeadlineExceeded, NotFound, RpcError, Unavailable
from vaccel_rpc.pool.targets import parse_targets
from vaccel_rpc.proto.ttrpc_pb2 import Request, Response
from vaccel_rpc.registering import ModelSource
from vaccel_rpc.remote import RemoteModel
from vaccel_rpc.status import to_status
from vaccel_rpc.tensors import Tensor, from_values, to_values

ROW = [0, 1, -2.5, 100]
RUN = "TorchModelRun"
#: What happens to the runs, in order; what comes after them is answered.
Fate = Callable[[PlayedAgent], bytes]


def hung_up(agent: PlayedAgent) -> bytes:
    """The agent ends while the run is in flight; the next one is there at once."""
    agent.hang_up()
    return b""


def shutting_down(_: PlayedAgent) -> bytes:
    """The agent takes no run any more."""
    return Response(status=to_status(Unavailable("the agent is shutting down"))).SerializeToString()


def no_session(_: PlayedAgent) -> bytes:
    """The agent has forgotten the session."""
    return Response(status=to_status(NotFound("no such session"))).SerializeToString()


async def awaited(remote: RemoteModel, inputs: list[Tensor]) -> list[Tensor]:
    """A run that a coroutine awaits."""
    runs = AwaitedRuns(remote, asyncio.to_thread)
    return (await runs.run(inputs, 1, 10)).outputs


#: A run that a thread waits for, or a coroutine.
RUNS: dict[str, Callable[[RemoteModel, list[Tensor]], list[Tensor]]] = {
    "a thread's": lambda remote, inputs: remote.run(inputs, 1, 10),
    "a coroutine's": lambda remote, inputs: asyncio.run(awaited(remote, inputs)),
}


def outcome(folder: Path, fates: list[Fate], wait: float | None, whose: str) -> tuple[list[float] | list[int] | RpcError, int]:
    """What a run comes to on an agent that does this to its first runs, and how many runs reached it."""
    left = iter(fates)
    upstream = UpstreamAgent()

    def answer(stream: int, request: Request) -> bytes:
        fate = next(left, None) if request.method == RUN else None
        return fate(agent) if fate else upstream(stream, request)

    with played(answer, folder) as agent:
        remote = RemoteModel(parse_targets(agent.address), ModelSource("affine.pt", WIRE / "affine.pt"), agent_wait=wait)
        try:
            remote.connect(10)
            return to_values(RUNS[whose](remote, [from_values("float32", (1, 4), ROW)])[0]), agent.calls.count(
                ("vaccel.sync.agent.AgentService", RUN)
            )
        except RpcError as error:
            return error, agent.calls.count(("vaccel.sync.agent.AgentService", RUN))
        finally:
            remote.close()


@pytest.mark.parametrize("whose", RUNS)
@pytest.mark.parametrize("wait", [None, 5])
@pytest.mark.parametrize("fates", [[hung_up], [hung_up, hung_up], [shutting_down, hung_up], [no_session]])
def test_a_run_in_flight_is_sent_again(tmp_path: Path, fates: list[Fate], wait: float | None, whose: str) -> None:
    """Runs are idempotent: their caller does not see that an agent ended."""
    assert outcome(tmp_path, fates, wait, whose) == (ROW, len(fates) + 1)


@pytest.mark.parametrize("whose", RUNS)
def test_a_run_that_ends_its_agent_does_not_end_every_other(tmp_path: Path, whose: str) -> None:
    """After three agents the caller gets the error."""
    error, runs = outcome(tmp_path, [hung_up] * 10, 5, whose)
    assert isinstance(error, Unavailable)
    assert runs == 3


@pytest.mark.parametrize("whose", RUNS)
def test_a_session_that_is_never_there(tmp_path: Path, whose: str) -> None:
    """A new session is tried once; that it is unknown, too, is the answer."""
    error, runs = outcome(tmp_path, [no_session] * 10, 5, whose)
    assert isinstance(error, NotFound)
    assert runs == 2


def test_a_run_without_an_answer_ends_at_its_deadline(tmp_path: Path) -> None:
    """A coroutine's too, though no thread waits for it; a cancelled one leaves nothing that would be told later."""
    upstream, go = UpstreamAgent(), threading.Event()

    def answer(stream: int, request: Request) -> bytes:
        if request.method == RUN:
            go.wait(20)
        return upstream(stream, request)

    async def late(remote: RemoteModel) -> list[Tensor]:
        runs, inputs = AwaitedRuns(remote, asyncio.to_thread), [from_values("float32", (1, 4), ROW)]
        cancelled = asyncio.create_task(runs.run(inputs, 1, 10))
        began = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            await runs.run(inputs, 1, 0.2)
        assert 0.15 < time.monotonic() - began < 5
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        go.set()
        return (await runs.run(inputs, 1, 10)).outputs

    with played(answer, tmp_path) as agent:
        remote = RemoteModel(parse_targets(agent.address), ModelSource("affine.pt", WIRE / "affine.pt"))
        remote.connect(10)
        assert to_values(asyncio.run(late(remote))[0]) == ROW
        remote.close()
