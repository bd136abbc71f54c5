"""Lines out of bytes, however these arrive."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from function.core.jsonlines import Line, Splitter

MOST = 12


def lines(parts: list[bytes], most: int = 3) -> list[Line]:
    splitter, lines = Splitter(MOST), []
    for part in parts:
        splitter.feed(part)
        while taken := splitter.take(most):
            lines += taken
        assert splitter.waiting <= MOST
    splitter.end()
    while taken := splitter.take(most):
        lines += taken
    return lines


def expected(data: bytes) -> list[Line]:
    numbered = enumerate(data.split(b"\n"), 1)
    return [(number, line if len(line) <= MOST else None) for number, line in numbered if len(line) > MOST or line.strip()]


BYTES = st.lists(st.sampled_from([b"a", b"bb", b"\n", b" ", b"\r\n", b"x" * 5, b"\xff"]), max_size=40).map(b"".join)


@given(BYTES, st.lists(st.integers(0, 60), max_size=8), st.integers(1, 5))
def test_however_bytes_arrive_the_lines_are_the_same(data: bytes, cuts: list[int], most: int) -> None:
    """Blank lines count but are left out; a line too long is None; at most one line is held."""
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    parts = [data[begin:end] for begin, end in pairwise(places)]
    assert lines(parts, most) == expected(data)


def test_a_byte_order_mark_alone_is_a_blank_line() -> None:
    """As an editor may leave it at the beginning of a file."""
    assert lines([b"\xef\xbb\xbf\nx\n"]) == [(2, b"x")]
