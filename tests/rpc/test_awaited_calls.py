"""Calls for which no thread waits: each is announced once, when its reply or the end is there."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from tests.support.scriptedagent import Ends, ScriptedAgent, call, connected, echo, nothing
from vaccel_rpc import frames
from vaccel_rpc.channels import PendingReply
from vaccel_rpc.errors import Unavailable
from vaccel_rpc.proto.ttrpc_pb2 import Request


def sent_at_once(ends: Ends, payload: bytes, done: Callable[[], None]) -> PendingReply:
    """A call for which no thread waits, once no other thread sends."""
    while True:
        with contextlib.suppress(BlockingIOError):
            return ends.channel.start("s", "m", [payload], 20, done=done)


def test_replies_for_which_no_thread_waits(tmp_path: Path) -> None:
    """Each is announced once, whether or not other threads wait meanwhile."""
    with connected(tmp_path, echo) as ends, ThreadPoolExecutor(2) as pool:
        announced: queue.SimpleQueue[int] = queue.SimpleQueue()
        for together in (False, True):
            waiting = [pool.submit(lambda: [call(ends) for _ in range(200)]) for _ in range(2 * together)]
            replies = [sent_at_once(ends, b"%d" % number, partial(announced.put, number)) for number in range(100)]
            assert sorted(announced.get(timeout=10) for _ in replies) == [*range(100)]
            assert [bytes(reply.result()) for reply in replies] == [b"%d" % number for number in range(100)]
            assert all(thread.result() for thread in waiting)
        assert announced.empty()


def test_a_reader_that_leaves_tells_the_owner(tmp_path: Path) -> None:
    """Nobody waits for the reply that comes next: it is read at once, not after the owner's pause."""

    def answer(peer: ScriptedAgent, frame: frames.Frame, request: Request) -> None:
        if request.payload == b"later":
            peer.kept.append((frame.stream, request.payload))
            return
        peer.send(frame.stream)
        for stream, payload in peer.kept:
            # The caller of the reply above has gone by then.
            threading.Timer(0.005, peer.send, (stream, payload)).start()
        peer.kept.clear()

    with connected(tmp_path, answer) as ends:
        waits = []
        for _ in range(20):
            done = threading.Event()
            ends.channel.start("s", "m", [b"later"], 10, done=done.set)
            call(ends)
            began = time.monotonic()
            assert done.wait(10)
            waits.append(time.monotonic() - began)
    assert sorted(waits)[5] < 0.03, "most took as long as the pause, 0.05 s"


def test_the_end_is_announced(tmp_path: Path) -> None:
    """A call for which no thread waits ends with the connection."""
    with connected(tmp_path, nothing) as ends:
        done = threading.Event()
        reply = ends.channel.start("s", "m", [b"x"], 10, done=done.set)
        assert ends.peer.accepted.wait(10)
        ends.peer.hang_up()
        assert done.wait(10)
        with pytest.raises(Unavailable):
            reply.result()


def test_an_event_loop_reads(tmp_path: Path) -> None:
    """It announces replies in its own thread, also when other threads have read meanwhile, and the end."""

    def answer(peer: ScriptedAgent, frame: frames.Frame, request: Request) -> None:
        if request.payload == b"last":
            peer.hang_up()
        else:
            echo(peer, frame, request)

    with connected(tmp_path, answer) as ends, ThreadPoolExecutor(1) as pool:

        async def announced() -> set[int]:
            """The threads in which the replies to a hundred calls are announced."""
            threads = asyncio.Queue[int]()
            loop = asyncio.get_running_loop()
            ends.channel.read_in(loop)

            def done() -> None:
                loop.call_soon_threadsafe(threads.put_nowait, threading.get_ident())

            for _ in range(100):
                sent_at_once(ends, b"x", done)
            return {await asyncio.wait_for(threads.get(), 10) for _ in range(100)}

        async def reading() -> None:
            own = {threading.get_ident()}
            assert await announced() == own
            others = pool.submit(lambda: [call(ends) for _ in range(200)])
            await announced()
            assert await asyncio.to_thread(others.result)
            assert await announced() == own
            with contextlib.suppress(Unavailable):
                ends.channel.start("s", "m", [b"last"])
            async with asyncio.timeout(10):
                while not ends.channel.closed:
                    await asyncio.sleep(0.001)

        asyncio.run(reading())


def test_a_call_that_cannot_be_sent_at_once_is_not_sent(tmp_path: Path) -> None:
    """Where nothing may wait: nothing of it is sent, and the connection goes on."""
    go = threading.Event()

    def slow(peer: ScriptedAgent, frame: frames.Frame, request: Request) -> None:
        assert go.wait(20)
        peer.send(frame.stream, request.payload)

    with connected(tmp_path, slow) as ends:
        done, count = threading.Semaphore(0), 0
        with contextlib.suppress(BlockingIOError):
            for count in range(10_000):  # noqa: B007 the number of those that were sent
                ends.channel.start("s", "m", [bytes(1000)], 20, done=done.release)
        assert 0 < count < 9_999
        go.set()
        assert all(done.acquire(timeout=20) for _ in range(count))
        assert call(ends, b"fine") == b"fine"
        assert not done.acquire(timeout=0.05), "the call that was not sent is not announced"
