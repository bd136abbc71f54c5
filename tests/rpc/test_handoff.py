"""Of the threads that wait on one connection one reads; answers, deadlines and the end reach every caller."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.scriptedagent import ScriptedAgent, call, connected, echo, nothing, outcome
from vaccel_rpc import frames
from vaccel_rpc.channels.handoff import ReaderHandoff
from vaccel_rpc.errors import DeadlineExceeded, NotFound, ResourceExhausted, RpcError, Unavailable
from vaccel_rpc.proto.ttrpc_pb2 import Request


def shuffled(peer: ScriptedAgent, frame: frames.Frame, request: Request) -> None:
    """Answers some now, some later, none in order, and never what begins with ``never``."""
    if not request.payload.startswith(b"never"):
        peer.kept.append((frame.stream, request.payload))
    if len(peer.kept) >= 4 or request.payload.startswith(b"flush"):
        random.shuffle(peer.kept)
        kept, peer.kept = peer.kept, []
        for stream, payload in kept:
            peer.send(stream, payload)


def test_a_lone_caller_reads_by_itself(tmp_path: Path) -> None:
    """Calls of one thread, one after the other, each get their own reply."""
    with connected(tmp_path, echo) as ends:
        for number in range(200):
            assert call(ends, b"%d" % number) == b"%d" % number


def test_many_callers_each_get_their_own(tmp_path: Path) -> None:
    """32 threads, answers in no order, some calls that are never answered and end at their deadline."""
    with connected(tmp_path, shuffled) as ends, ThreadPoolExecutor(33) as pool:
        over = threading.Event()

        def caller(number: int) -> None:
            chance = random.Random(number)
            for turn in range(60):
                payload = b"%d %d " % (number, turn) + b"x" * chance.choice((0, 10, 5000))
                if chance.random() < 0.1:
                    with pytest.raises(DeadlineExceeded):
                        call(ends, b"never", chance.choice((0.001, 0.02)))
                assert call(ends, payload) == payload

        def flusher() -> None:
            while not over.wait(0.005):
                assert call(ends, b"flush") == b"flush"

        flushing = pool.submit(flusher)
        try:
            for future in [pool.submit(caller, number) for number in range(32)]:
                future.result(60)
        finally:
            over.set()
        flushing.result(10)


def test_answers_in_any_order_of_asking(tmp_path: Path) -> None:
    """Sent in one order, answered in another, asked for in a third, by one thread; asked for twice, too."""
    with connected(tmp_path, nothing) as ends:
        replies = [ends.channel.start("s", "m", [b"%d" % number], 10) for number in range(20)]
        while len(ends.peer.kept) < 20:
            time.sleep(0.001)
        for stream, payload in random.sample(ends.peer.kept, 20):
            ends.peer.send(stream, payload)
        for number in random.sample(range(20), 20):
            assert bytes(replies[number].result()) == b"%d" % number
            assert bytes(replies[number].result()) == b"%d" % number


def test_the_turn_passes_on_at_a_deadline(tmp_path: Path) -> None:
    """The caller that reads gives up; the caller that waits behind it still gets its answer."""
    with connected(tmp_path, nothing) as ends, ThreadPoolExecutor(2) as pool:
        first = pool.submit(outcome, ends, 0.2)
        while not ends.peer.kept:
            time.sleep(0.001)
        second = pool.submit(outcome, ends, 10)
        while len(ends.peer.kept) < 2:
            time.sleep(0.001)
        assert isinstance(first.result(5), DeadlineExceeded)
        ends.peer.send(ends.peer.kept[0][0], b"late, dropped")
        ends.peer.send(ends.peer.kept[1][0], b"yours")
        assert second.result(5) == b"yours"


@pytest.mark.parametrize("timeout", [0.05, 1.2])
def test_deadlines_are_kept(tmp_path: Path, timeout: float) -> None:
    """A call that is never answered ends with DEADLINE_EXCEEDED at its deadline, not before, and so does the next."""
    with connected(tmp_path, nothing) as ends:
        for limit in (timeout, timeout / 2):
            began = time.monotonic()
            with pytest.raises(DeadlineExceeded, match=rf"unix://.*: the agent did not answer within {limit} s$"):
                call(ends, timeout=limit)
            assert limit <= time.monotonic() - began < limit + 5


def test_what_came_in_time_is_had_after_the_deadline(tmp_path: Path) -> None:
    """A reply that is on this side before its deadline is not lost because it is asked for later."""
    with connected(tmp_path, echo) as ends:
        reply = ends.channel.start("s", "m", [b"x"], 0.1)
        time.sleep(0.2)
        assert bytes(reply.result()) == b"x"


def test_the_end_is_noticed_while_idle(tmp_path: Path) -> None:
    """The end of the connection is noticed before any call, and right after one."""
    for calls in (0, 1):
        folder = tmp_path / f"{calls}"
        folder.mkdir()
        with connected(folder, echo) as ends:
            for _ in range(calls):
                call(ends)
            assert ends.peer.accepted.wait(5)
            time.sleep(0.02)
            ends.peer.hang_up()
            assert ends.lost.wait(2)
            assert isinstance(ends.channel.closed, Unavailable)
            with pytest.raises(Unavailable, match="closed the connection"):
                call(ends)


@pytest.mark.parametrize("how", ["peer", "close"])
def test_the_end_reaches_all_who_wait(tmp_path: Path, how: str) -> None:
    """When the connection ends, by the peer or by `close`, every caller fails with UNAVAILABLE, with a deadline or without."""
    with connected(tmp_path, nothing) as ends, ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(outcome, ends, timeout) for timeout in (None, 10, 10, None, 10, None, 10, 10)]
        while len(ends.peer.kept) < 8:
            time.sleep(0.001)
        if how == "peer":
            ends.peer.hang_up()
        else:
            ends.channel.close()
        assert all(isinstance(future.result(5), Unavailable) for future in waiting)
        assert ends.lost.is_set()


def test_close_amid_calls(tmp_path: Path) -> None:
    """Threads that call without pause see answers, then the end, and none hangs; the socket is closed at last."""
    with connected(tmp_path, echo) as ends, ThreadPoolExecutor(8) as pool:

        def caller() -> RpcError:
            while isinstance(result := outcome(ends, 10), bytes):
                assert result == b"x"
            return result

        callers = [pool.submit(caller) for _ in range(8)]
        time.sleep(0.2)
        ends.channel.close()
        assert all(isinstance(future.result(5), Unavailable) for future in callers)
        end = time.monotonic() + 2
        while ends.channel._socket.fileno() != -1 and time.monotonic() < end:
            time.sleep(0.01)
        assert ends.channel._socket.fileno() == -1


def test_the_last_read_is_waited_for_and_then_it_ends() -> None:
    """Where one thread reads for the owner while the connection ends, another one waits until it has read, and no longer."""
    reads, may_return = threading.Event(), threading.Event()

    def receive(_: float | None) -> None:
        handoff.end(Unavailable("it is gone"))
        reads.set()
        may_return.wait(10)

    handoff = ReaderHandoff(receive, lambda: None)
    reader = threading.Thread(target=handoff.read_if_idle)
    waiting = threading.Thread(target=handoff.wait_for_last_reader, daemon=True)
    reader.start()
    assert reads.wait(10)
    waiting.start()
    waiting.join(0.1)
    assert waiting.is_alive()
    may_return.set()
    waiting.join(10)
    assert not waiting.is_alive()
    reader.join()


def test_nobody_waits_and_the_peer_reads_no_more_before_it_is_read(tmp_path: Path) -> None:
    """Large calls sent in a row with none of the answers asked for: both sides' buffers are full, and it goes on."""
    with connected(tmp_path, echo) as ends:
        payload = bytes(300_000)
        replies = [ends.channel.start("s", "m", [payload], 20) for _ in range(30)]
        assert all(reply.result() == payload for reply in replies)


def test_errors_and_refusals_are_their_callers_own(tmp_path: Path) -> None:
    """A reply beyond the limit, or one with a status, fails its own call; the connection goes on."""

    def answer(peer: ScriptedAgent, frame: frames.Frame, request: Request) -> None:
        if request.payload == b"large":
            peer.send(frame.stream, bytes(2000))
        else:
            peer.send(frame.stream, code=NotFound.code if request.payload == b"missing" else 0)

    with connected(tmp_path, answer, max_message=1000) as ends:
        with pytest.raises(ResourceExhausted, match="exceeds this client's limit"):
            call(ends, b"large")
        with pytest.raises(NotFound):
            call(ends, b"missing")
        assert call(ends, b"fine") == b""


@pytest.mark.parametrize("junk", [b"HTTP/1.1 400 Bad Request\r\n\r\n", frames.encode(1, frames.RESPONSE, 0, b"\xff\xff")])
def test_what_is_no_answer_ends_the_connection(tmp_path: Path, junk: bytes) -> None:
    """Bytes that are no frame, or a frame without a response, end the connection with UNAVAILABLE."""

    def answer(peer: ScriptedAgent, frame: frames.Frame, request: Request) -> None:  # noqa: ARG001 as a peer calls it
        peer.sock.sendall(junk)

    with connected(tmp_path, answer) as ends, pytest.raises(Unavailable, match="not a ttrpc response"):
        call(ends)
