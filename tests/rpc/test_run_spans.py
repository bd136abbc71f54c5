"""Spans of runs that are sent again: one for each try, of which none is left open. Agents are played, in this process."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.collector import PARENT, TRACE, TRACEPARENT, SpanRecorder, recorded_spans
from tests.support.playedagent import PlayedAgent, UpstreamAgent, played
from tests.support.pools import pool_of
from tests.support.recorded import WIRE
from tests.support.servers import SpawnAgent
from tests.support.sleepers import store_of
from vaccel_common import tracing
from vaccel_rpc.awaiting import AwaitedRuns
from vaccel_rpc.errors import DeadlineExceeded, FailedPrecondition, Internal, NotFound, RpcError, Unavailable
from vaccel_rpc.pool.targets import parse_targets
from vaccel_rpc.proto.ttrpc_pb2 import Request, Response
from vaccel_rpc.registering import ModelSource
from vaccel_rpc.remote import RemoteModel
from vaccel_rpc.status import to_status
from vaccel_rpc.tensors import Tensor, from_values

RUN = "vaccel.sync.agent.AgentService/TorchModelRun"
CALLER = {"traceparent": TRACEPARENT}
INPUTS = [from_values("float32", (1, 4), [0, 1, -2.5, 100])]
#: What happens to a run at the agent.
Fate = Callable[[PlayedAgent], bytes]


def hung_up(agent: PlayedAgent) -> bytes:
    """The agent ends while the run is in flight."""
    agent.hang_up()
    return b""


def refused(error: RpcError) -> Fate:
    """The agent answers with an error."""
    return lambda _: Response(status=to_status(error)).SerializeToString()


class Held:
    """The run is ``taken``, and answered no sooner than it may ``go``."""

    def __init__(self) -> None:
        self.taken, self.go = threading.Event(), threading.Event()

    def __call__(self, _: PlayedAgent) -> bytes:
        self.taken.set()
        self.go.wait(20)
        return b""


@contextlib.contextmanager
def agent_with(folder: Path, *fates: Fate, wait: float | None = None) -> Iterator[tuple[PlayedAgent, RemoteModel]]:
    """An agent that does this to its first runs and answers the others, and its connected client."""
    left, upstream = iter(fates), UpstreamAgent()

    def answer(stream: int, request: Request) -> bytes:
        fate = next(left, None) if f"{request.service}/{request.method}" == RUN else None
        return fate(agent) if fate else upstream(stream, request)

    with played(answer, folder) as agent:
        remote = RemoteModel(parse_targets(agent.address), ModelSource("affine.pt", WIRE / "affine.pt"), agent_wait=wait)
        with contextlib.closing(remote):
            remote.connect(10)
            yield agent, remote


@pytest.fixture
def spans() -> Iterator[SpanRecorder]:
    """What is recorded; none is left open."""
    with recorded_spans() as recorder:
        yield recorder
    assert recorder.open == {}


def threads(remote: RemoteModel, timeout: float = 10) -> list[Tensor]:
    """A run that a thread waits for."""
    return remote.run_timed([INPUTS], 1, timeout, metadata=CALLER)[0].outputs


def coroutines(remote: RemoteModel, timeout: float = 10) -> list[Tensor]:
    """A run that a coroutine awaits."""

    async def run() -> list[Tensor]:
        return (await AwaitedRuns(remote, asyncio.to_thread).run(INPUTS, 1, timeout, metadata=CALLER)).outputs

    return asyncio.run(run())


RUNS = [threads, coroutines]


def tries(spans: SpanRecorder) -> list[tuple[str, str | None, int | None, str | None]]:
    """Of each try's span: status, kind of the error, number and reason of the retry."""
    ended = [span for span in spans.ended if span.name == RUN]
    assert ended == sorted(ended, key=lambda span: span.start_time or 0)
    for earlier, later in itertools.pairwise(ended):
        assert (earlier.end_time or 0) <= (later.start_time or 0)
    found = []
    for span in ended:
        attributes: Any = span.attributes
        status = attributes["rpc.response.status_code"]
        assert span.status.is_ok == (status == "OK")
        reason = attributes.get("vaccel.retry_reason")
        found.append((status, attributes.get("error.type"), attributes.get("vaccel.retry"), reason))
    return found


LOST = "UNAVAILABLE: the agent closed the connection"
ENDING = Unavailable("the agent is shutting down")
CASES: list[tuple[list[Fate], list[str]]] = [
    ([], []),
    ([hung_up], [LOST]),
    ([hung_up, hung_up], [LOST, LOST]),
    ([refused(ENDING), hung_up], ["UNAVAILABLE: the agent is shutting down", LOST]),
    ([refused(NotFound("no such session"))], ["NOT_FOUND: no such session"]),
]


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize(("fates", "reasons"), CASES)
def test_each_try_has_a_span(
    spans: SpanRecorder, tmp_path: Path, run: Callable[[RemoteModel], list[Tensor]], fates: list[Fate], reasons: list[str]
) -> None:
    """One after the other, children of the caller's span; the agent is sent that of the try, and each says why it is there."""
    with agent_with(tmp_path, *fates, wait=5) as (agent, remote):
        assert run(remote)
        received = [request for request in agent.requests if f"{request.service}/{request.method}" == RUN]
    failed = [reason.partition(":")[0] for reason in reasons]
    expected = [(status, status, i or None, reasons[i - 1] if i else None) for i, status in enumerate(failed)]
    expected.append(("OK", None, len(reasons) or None, reasons[-1] if reasons else None))  # type: ignore[arg-type]
    assert tries(spans) == expected
    ended = [span for span in spans.ended if span.name == RUN]
    for span, request in zip(ended, received, strict=True):
        own: Any = span.get_span_context()
        parent: Any = span.parent
        assert (f"{own.trace_id:x}".zfill(32), f"{parent.span_id:x}") == (TRACE, PARENT)
        sent = {pair.key: pair.value for pair in request.metadata}
        assert sent == {"traceparent": f"00-{TRACE}-{own.span_id:016x}-01", "vaccel-timings": "1"}
        attributes: Any = span.attributes
        assert (attributes["server.address"], attributes["network.transport"]) == (f"{tmp_path}/played.sock", "unix")


@pytest.mark.parametrize("run", RUNS)
def test_an_error_of_the_run_is_that_of_its_span(
    spans: SpanRecorder, tmp_path: Path, run: Callable[[RemoteModel], list[Tensor]]
) -> None:
    """It is not sent again; neither is the third try's."""
    with agent_with(tmp_path, refused(Internal("shapes differ")), *[hung_up] * 3, wait=5) as (_, remote):
        with pytest.raises(Internal):
            run(remote)
        assert tries(spans) == [("INTERNAL", "INTERNAL", None, None)]
        with pytest.raises(Unavailable):
            run(remote)
    assert [status for status, *_ in tries(spans)[1:]] == ["UNAVAILABLE"] * 3


@pytest.mark.parametrize("run", RUNS)
def test_at_the_deadline_the_span_ends(
    spans: SpanRecorder, tmp_path: Path, run: Callable[[RemoteModel, float], list[Tensor]]
) -> None:
    """Whether a thread or a coroutine waits for the reply, which may still come."""
    held = Held()
    with agent_with(tmp_path, held) as (_, remote):
        with pytest.raises(DeadlineExceeded):
            run(remote, 0.2)
        assert tries(spans) == [("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED", None, None)]
        assert spans.open == {}
        held.go.set()


def test_a_run_that_is_cancelled_ends_its_span(spans: SpanRecorder, tmp_path: Path) -> None:
    """As that of a coroutine whose client has gone."""
    held = Held()

    async def cancelled(remote: RemoteModel) -> None:
        task = asyncio.create_task(AwaitedRuns(remote, asyncio.to_thread).run(INPUTS, 1, 10, metadata=CALLER))
        await asyncio.to_thread(held.taken.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with agent_with(tmp_path, held) as (_, remote):
        asyncio.run(cancelled(remote))
        assert tries(spans) == [("CANCELLED", "CANCELLED", None, None)]
        held.go.set()


def test_an_interrupt_ends_the_span(spans: SpanRecorder, tmp_path: Path) -> None:
    """As Ctrl-C on the command line."""
    held = Held()

    def interrupt() -> None:
        held.taken.wait(10)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    with agent_with(tmp_path, held) as (_, remote):
        # Later than the run is taken: it may still be on its way back from sending it.
        threading.Timer(0.1, interrupt).start()
        with pytest.raises(KeyboardInterrupt):
            threads(remote)
        held.go.set()
    assert tries(spans) == [("CANCELLED", "CANCELLED", None, None)]


def test_a_failed_run_ends_the_spans_of_the_others(spans: SpanRecorder, tmp_path: Path) -> None:
    """Those of its request that are still in flight: their results are not awaited any more."""
    fate = refused(FailedPrecondition("the store is closed"))
    with agent_with(tmp_path, fate) as (_, remote), pytest.raises(FailedPrecondition):
        remote.run_timed([INPUTS] * 3, 1, 10, metadata=CALLER)
    statuses = sorted(str(span.attributes and span.attributes["rpc.response.status_code"]) for span in spans.ended)
    assert statuses == ["CANCELLED", "CANCELLED", "FAILED_PRECONDITION"]


def test_a_span_ends_when_the_reply_is_there(spans: SpanRecorder, spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """Not when its result is taken, which is after those of earlier runs of the request; over ttrpc and gRPC."""
    options = store_of(tmp_path, "store", '{"seconds": 0.001}')
    quick, slow = (spawn_agent("-a", "tcp://127.0.0.1:0", "-a", "grpc://127.0.0.1:0", *options) for _ in range(2))
    goes_on: list[int] = []

    def go_on(remote: RemoteModel) -> None:
        """The slow agent goes on once all runs are sent and the quick one has answered its own."""
        end = time.monotonic() + 20
        link = remote.members[0].keeper.link
        while link and (link.running or sum(member.load.runs + member.load.answered for member in remote.members) < 4):
            assert time.monotonic() < end
            time.sleep(0.01)
        goes_on.append(time.time_ns())
        os.kill(slow.process.pid, signal.SIGCONT)

    for scheme in ("tcp", "grpc"):
        with pool_of(quick.addresses[scheme], slow.addresses[scheme]) as remote:
            os.kill(slow.process.pid, signal.SIGSTOP)
            threading.Thread(target=go_on, args=(remote,)).start()
            assert remote.run_all([[from_values("int64", (1,), [i])] for i in range(4)], 1, 20)
        ends: dict[Any, list[int]] = {}
        for span in spans.ended:
            ends.setdefault(span.attributes and span.attributes["server.port"], []).append(span.end_time or 0)
        quicks, slows = (ends[int(agent.addresses[scheme].rpartition(":")[2])] for agent in (quick, slow))
        assert max(quicks) <= goes_on[-1] <= min(slows)


def test_a_wait_for_an_agent_has_a_span(spans: SpanRecorder, tmp_path: Path) -> None:
    """Where none takes the run, and where one does in the end; nothing was sent meanwhile."""
    address = f"unix://{tmp_path}/played.sock"
    remote = RemoteModel(parse_targets(address), ModelSource("affine.pt", WIRE / "affine.pt"), agent_wait=0.2)
    with contextlib.closing(remote):
        with pytest.raises(Unavailable):
            threads(remote)
        (waited,) = spans.ended
        attributes: Any = waited.attributes
        assert (waited.name, waited.kind.name, attributes["error.type"]) == ("wait for agent", "INTERNAL", "UNAVAILABLE")
        assert waited.status.description == f"{address}: No such file or directory"
        with played(UpstreamAgent(), tmp_path):
            assert threads(remote)
    assert [(span.name, span.status.is_ok) for span in spans.ended[1:]] == [("wait for agent", True), (RUN, True)]
    assert {span.parent and f"{span.parent.span_id:x}" for span in spans.ended} == {PARENT}


def test_without_spans_the_trace_goes_on_unchanged(tmp_path: Path) -> None:
    """The agent is sent the caller's own, with every try."""
    assert not tracing.on()
    with agent_with(tmp_path, hung_up) as (agent, remote):
        assert threads(remote)
        received = [request.metadata for request in agent.requests if request.method == RUN.partition("/")[2]]
    assert [{pair.key: pair.value for pair in metadata} for metadata in received] == [{**CALLER, "vaccel-timings": "1"}] * 2
