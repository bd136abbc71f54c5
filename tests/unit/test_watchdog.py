"""The watchdog over a real batcher, with a clock that the test moves."""

from __future__ import annotations

import asyncio
import ctypes
import threading
from collections.abc import Awaitable, Callable, Sequence

import pytest

from agent.batching.batcher import Batcher
from agent.engines.contract import Batch, DeviceLost
from agent.engines.cost import UNKNOWN
from agent.engines.layout import Shape
from agent.idleprobe import IdleProbe
from agent.packing import BatchLimits
from agent.store.loading import LoadingThread
from agent.watchdog import DEVICE_LOST, HUNG, Watchdog
from tests.support.programs import EchoProgram, held, one, part, values
from tests.support.watched import LIMIT, MAX_LOAD, Watched, failure
from vaccel_common.modelfile import Signature, TensorSpec
from vaccel_rpc.errors import Internal, Unavailable
from vaccel_rpc.tensors import Tensor


def run(main: Callable[[], Awaitable[None]]) -> None:
    """Runs a test in an event loop."""
    asyncio.run(main())  # type: ignore[arg-type]


def test_a_run_that_holds_a_worker_too_long_is_an_illness() -> None:
    """Not at the limit, and once beyond it: the run is answered for good, what waits may run elsewhere, nothing new is taken."""

    async def main() -> None:
        watched, hangs = Watched(), EchoProgram(threading.Event())
        task = await held(watched.batcher, hangs)
        waiting = asyncio.create_task(watched.batcher.run(EchoProgram(), [part(2)], None))
        await asyncio.sleep(0)
        watched.pass_time(LIMIT + 1)
        assert watched.watchdog.illness is None
        watched.pass_time(3)
        assert watched.watchdog.illness
        assert watched.watchdog.illness.exit_code == HUNG
        assert "worker 0 has run  (1 rows of 1 tokens) for 11.0 s, longer than 10 s (--max-run-s)" in (
            watched.watchdog.illness.reason
        )
        assert watched.watchdog.problem == watched.watchdog.illness.reason
        assert watched.calls == 1
        assert isinstance(await failure(task), Internal)
        assert isinstance(await failure(waiting), Unavailable)
        with pytest.raises(Unavailable, match=r"the agent is ill: a run does not return: worker 0 .* \(--max-run-s\)"):
            await watched.batcher.run(EchoProgram(), [part(3)], None)
        await watched.end(hangs)

    run(main)


def test_many_short_runs_are_not_one_long_one() -> None:
    """Each look finds the worker in a run, but in another one."""

    async def main() -> None:
        watched = Watched()
        for _ in range(30):
            gate = threading.Event()
            task = await held(watched.batcher, EchoProgram(gate))
            watched.pass_time(1)
            gate.set()
            await task
        assert watched.watchdog.illness is None
        watched.batcher.close()

    run(main)


def test_time_in_which_nobody_looked_does_not_count() -> None:
    """The process was stopped for an hour while a run was under way."""

    async def main() -> None:
        watched, gate = Watched(), threading.Event()
        task = await held(watched.batcher, EchoProgram(gate))
        watched.pass_time(2)
        watched.time.now += 3600
        watched.pass_time(5)
        assert watched.watchdog.illness is None
        gate.set()
        await task
        watched.batcher.close()

    run(main)


def test_parts_of_one_request_end_in_the_error_of_the_part_that_hangs() -> None:
    """Its other parts wait, and could run elsewhere; the request as a whole must not."""

    async def main() -> None:
        watched, hangs = Watched(), EchoProgram(threading.Event())
        parts = [(one(n), Shape(None)) for n in (1, 2, 3)]
        task = asyncio.create_task(watched.batcher.run(hangs, parts, None))
        await asyncio.sleep(0)
        await asyncio.to_thread(hangs.started.wait, 10)
        watched.pass_time(LIMIT + 4)
        assert isinstance(await failure(task), Internal)
        await watched.end(hangs)

    run(main)


class LosesDevice:
    """Fails so with the first number of a request, if that is a 13; a batch of several fails as a whole."""

    signature, joinable, cost = None, True, UNKNOWN

    def __init__(self, lost: DeviceLost, gate: threading.Event) -> None:
        self._lost, self.gate, self.runs = lost, gate, 0
        self.started = threading.Event()

    def run(self, requests: Sequence[Sequence[Tensor]], *, alone: bool) -> Batch:  # noqa: ARG002 its interface
        self.started.set()
        self.gate.wait(10)
        self.runs += 1
        if any(13 in request[0].data for request in requests):
            raise self._lost
        return Batch([list(request) for request in requests], 0, 0)


@pytest.mark.parametrize(("by_run", "kind"), [(True, Internal), (False, Unavailable)])
def test_nothing_runs_on_a_device_that_was_lost(by_run: bool, kind: type[Exception]) -> None:
    """The batch fails as one, and is not run again request by request; what waits is refused."""

    async def main() -> None:
        lost = Watchdog(LIMIT, MAX_LOAD, 1000, lambda: None)
        program = LosesDevice(DeviceLost("it is broken", by_run=by_run), threading.Event())
        queue = Batcher(
            1, BatchLimits(), max_queue=100, max_queue_tokens=100, max_delay=0, observe=lambda _: None, on_lost=lost.lost
        )
        lost.begin(queue, LoadingThread(lambda _: pytest.fail("nothing is loaded")))
        first = asyncio.create_task(queue.run(program, [part(1)], None))
        await asyncio.sleep(0)
        await asyncio.to_thread(program.started.wait, 10)
        both = [asyncio.create_task(queue.run(program, [part(n)], None)) for n in (13, 2)]
        other = asyncio.create_task(queue.run(program, [(one(3), Shape(None))], None))
        await asyncio.sleep(0)
        program.gate.set()
        assert values(await first) == [1]
        assert [type(await failure(task)) for task in both] == [kind, kind]
        assert program.runs == 2
        while not lost.illness:
            await asyncio.sleep(0.01)
        assert lost.illness.exit_code == DEVICE_LOST
        assert lost.illness.reason == "the device is lost: it is broken"
        assert isinstance(await failure(other), Unavailable)

    run(main)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_worker_whose_thread_has_ended_is_an_illness() -> None:
    """Whatever ended it: here an exception that Python raises in it."""

    async def main() -> None:
        watched = Watched(workers=2)
        assert watched.batcher.ended_workers == []
        before = set(threading.enumerate())
        (thread,) = [each for each in before if each.name == "worker 1" and each.is_alive()][-1:]
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(SystemExit))
        gate = threading.Event()
        tasks = [await held(watched.batcher, EchoProgram(gate))]
        tasks.append(asyncio.create_task(watched.batcher.run(EchoProgram(), [part(1)], None)))
        await asyncio.to_thread(thread.join, 10)
        watched.pass_time(1)
        assert watched.watchdog.illness
        assert watched.watchdog.illness.reason == "worker 1: the thread has ended"
        gate.set()
        await asyncio.gather(*tasks, return_exceptions=True)

    run(main)


def test_a_loop_that_stands_still_is_a_problem_but_no_illness() -> None:
    """``/healthz`` says so, from another thread, until the loop goes on."""

    async def main() -> None:
        watched = Watched()
        probe = IdleProbe(watched.batcher, 0, lambda: None)
        watching = asyncio.create_task(watched.watchdog.watch(probe))
        await asyncio.sleep(0)
        assert watched.watchdog.problem is None
        watched.time.now += 11
        assert watched.watchdog.problem == "the event loop has not run for 11 s"
        assert watched.watchdog.illness is None
        watching.cancel()
        watched.batcher.close()

    run(main)


class Probed(EchoProgram):
    """A program that says what it takes."""

    def __init__(self) -> None:
        super().__init__()
        x, y = (TensorSpec(name, "uint8", ("n",)) for name in "xy")
        self.signature = Signature("probed", "regression", None, (x,), (y,), "n", None)  # type: ignore[assignment]


def test_probes_run_when_nothing_else_has_for_a_while() -> None:
    """A client's run is the proof as well, and puts the next probe off; neither waiting nor reports know of probes."""

    async def main() -> None:
        watched, program = Watched(), Probed()
        probe = IdleProbe(watched.batcher, 0.2, lambda: (program, "probed"))

        async def look(seconds: float) -> None:
            end = asyncio.get_running_loop().time() + seconds
            while asyncio.get_running_loop().time() < end:
                probe.look()
                await asyncio.sleep(0.01)

        for _ in range(20):
            await watched.batcher.run(program, [part(1)], None, "probed")
            await look(0.03)
        assert probe.answered == 0
        assert len(watched.reports) == 20
        await look(1)
        assert 2 <= probe.answered <= 5
        assert len(program.batches) == 20 + probe.answered
        assert len(watched.reports) == 20
        watched.batcher.close()

    run(main)


def test_no_probe_runs_beside_a_clients_run() -> None:
    """However long that takes, and however many looks there are."""

    async def main() -> None:
        watched, program, gate = Watched(workers=2), Probed(), threading.Event()
        probe = IdleProbe(watched.batcher, 0.01, lambda: (program, "probed"))
        task = await held(watched.batcher, EchoProgram(gate))
        for _ in range(10):
            await asyncio.sleep(0.02)
            probe.look()
        assert program.batches == []
        gate.set()
        await task
        watched.batcher.close()

    run(main)
