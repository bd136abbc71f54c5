"""The HTTP server's threads: as many as requests need at the same time, and never more than the limit."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

from function.pool import Pool

MOST = 4


class Connection:
    """Its request is answered when ``answer`` is set."""

    def __init__(self) -> None:
        self.began, self.answer, self.ended = threading.Event(), threading.Event(), threading.Event()

    def communicate(self) -> bool:
        self.began.set()
        assert self.answer.wait(20)
        return False

    def close(self) -> None:
        self.ended.set()


def started() -> Pool:
    server: Any = SimpleNamespace(stats={"Enabled": False, "Worker Threads": {}}, error_log=print)
    server.requests = Pool(server, MOST)
    server.requests.start()
    pool: Pool = server.requests
    return pool


def threads(pool: Pool) -> int:
    return len(pool._threads)


def test_a_thread_starts_when_a_request_finds_none_free() -> None:
    """Every request up to the limit runs at once; one more waits for a thread, and gets it."""
    pool = started()
    held = [Connection() for _ in range(MOST + 1)]
    assert threads(pool) == 1
    for connection in held:
        pool.put(connection)
    for connection in held[:MOST]:
        assert connection.began.wait(20)
    assert threads(pool) == MOST
    assert not held[MOST].began.wait(0.1)
    for connection in held:
        connection.answer.set()
    assert held[MOST].ended.wait(20)
    pool.stop()


def test_one_request_after_the_other_needs_one_thread() -> None:
    """A thread that has answered takes the next request."""
    pool = started()
    for _ in range(50):
        connection = Connection()
        connection.answer.set()
        pool.put(connection)
        assert connection.ended.wait(20)
    assert threads(pool) <= 2, "the one that closes a connection may not be back when the next is there"
    pool.stop()


def test_where_no_more_threads_can_be_had_those_that_are_there_answer() -> None:
    """Nothing is dropped, and whoever accepts goes on."""
    pool = started()
    first, second = Connection(), Connection()
    pool.put(first)
    assert first.began.wait(20)

    def none() -> None:
        raise RuntimeError("can't start new thread")

    pool._spawn_worker = none
    pool.put(second)
    first.answer.set()
    second.answer.set()
    assert second.ended.wait(20)
    pool.stop()
