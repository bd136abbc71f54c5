"""What the function keeps of headers: short names, which come again, and nothing of a client's long ones."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from function.core.caching import cached_if_short
from function.server.wsgi import environ_of
from tests.support.inprocess import client

#: Bytes of a long name, and how many requests have one.
LONG, REQUESTS = 20_000, 100


@pytest.fixture
def kept() -> Iterator[Callable[[], int]]:
    """Bytes of long texts that were made since the test began and are still held, by more than a cycle."""

    def traced() -> int:
        gc.collect()
        return sum(trace.size for trace in tracemalloc.take_snapshot().traces if trace.size >= LONG)

    tracemalloc.start()
    yield traced
    tracemalloc.stop()


def test_short_texts_are_kept_and_long_ones_are_not() -> None:
    """The function is called once for each short text, and each time for a long one."""
    calls: list[str] = []

    @cached_if_short(2)
    def read(text: str) -> int:
        calls.append(text)
        return len(text)

    for text in ("a", "a", "b" * 128, "b" * 128, "c" * 129, "c" * 129):
        assert read(text) == len(text)
    assert [len(text) for text in calls] == [1, 128, 129, 129]


def test_names_of_headers_take_no_memory(kept: Callable[[], int]) -> None:
    """Each request has another long name, which its environment has."""
    scope = {"method": "GET", "path": "/", "query_string": b"", "http_version": "1.1"}
    for number in range(REQUESTS):
        name = b"x%d-" % number + b"y" * LONG
        environ = environ_of({**scope, "headers": [(name, b"1")]}, b"")
        assert environ["HTTP_" + name.decode().upper().replace("-", "_")] == "1"
    assert kept() < 5 * LONG


def test_content_types_take_no_memory(kept: Callable[[], int]) -> None:
    """Each request has another long one, which is refused."""
    function = client()

    def post(kind: str) -> None:
        response = function.post("/classify", data="a", content_type=kind)
        assert response.status_code == 415
        response.close()

    post("text/plain; charset=unknown")
    before = kept()
    for number in range(REQUESTS // 2):
        post(f"text/{number}{'x' * LONG}")
        post(f"text/plain; charset={number}{'x' * LONG}")
    assert kept() - before < 20 * LONG
