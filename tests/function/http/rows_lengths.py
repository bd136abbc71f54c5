"""Content-Length: RFC 9112 6.2 and 6.3, RFC 9110 8.6."""

from __future__ import annotations

from tests.function.http.table import CHUNKED, CHUNKS, END, FIRST, HIDDEN, LENGTH, POST, READ, TEXT, Row, Wait


def _length(value: bytes) -> bytes:
    """A text, and a request where a server reads on that does not take ``value`` for 12."""
    return POST + b"Content-Length:" + value + END + END + TEXT + HIDDEN


def _refused(name: str, value: bytes) -> Row:
    return Row(f"length {name}", _length(value), "400 end")


def _taken(name: str, value: bytes) -> Row:
    return Row(f"length {name}", POST + b"Content-Length:" + value + END + END + TEXT, "200 go", contains=READ)


_ALL = b"Content-Length: %d\r\n" % (12 + len(HIDDEN))
_FIFTY = b"Content-Length: 50\r\n\r\n"

ROWS = [
    Row("two lengths, the first shorter", POST + LENGTH + _ALL + END + TEXT + HIDDEN, "400 end"),
    Row("two lengths, the first longer", POST + _ALL + LENGTH + END + TEXT + HIDDEN, "400 end"),
    Row("two lengths that are the same", POST + LENGTH + LENGTH + END + TEXT + HIDDEN, "400 end"),
    Row("two lengths in small letters", POST + LENGTH + _ALL.lower() + END + TEXT + HIDDEN, "400 end"),
    Row("two lengths, the first empty", POST + b"Content-Length:\r\n" + LENGTH + END + TEXT + HIDDEN, "400 end"),
    _refused("as a list", b" 12, 12"),
    _refused("as a list of different values", b" 12, 200"),
    _refused("with a plus", b" +12"),
    _refused("negative", b" -12"),
    _refused("negative zero", b" -0"),
    _refused("hexadecimal", b" 0xc"),
    _refused("hexadecimal without a prefix", b" c"),
    _refused("with an underscore", b" 1_2"),
    _refused("with a decimal point", b" 12.0"),
    _refused("with an exponent", b" 12e0"),
    _refused("empty", b""),
    _refused("of only a space", b" "),
    _refused("with a space inside", b" 1 2"),
    _refused("in quotes", b' "12"'),
    _refused("with a comma", b" 12,"),
    _refused("with a parameter", b" 12;a=b"),
    _refused("after a vertical tab", b" \x0b12"),
    _refused("before a vertical tab", b" 12\x0b"),
    _refused("before a form feed", b" 12\x0c"),
    _refused("before a NUL", b" 12\x00"),
    _refused("with a no-break space", b" \xa012"),
    _refused("in non-ASCII digits", b" \xd9\xa1\xd9\xa2"),
    _refused("of 23 digits", b" 99999999999999999999999"),
    _refused("of 2^64 + 12", b" 18446744073709551628"),
    _refused("of 5000 digits", b" " + b"9" * 5000),
    _taken("without a space", b"12"),
    _taken("between spaces", b"  12  "),
    _taken("between tabs", b"\t12\t"),
    _taken("with leading zeros", b" 0012"),
    Row("no length means no body", POST + END, "422 go", contains="is empty"),
    Row("length 0", POST + b"Content-Length: 0\r\n\r\n", "422 go", contains="is empty"),
    Row("a GET with a body", b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN, "200 go"),
    Row("length and chunks", POST + LENGTH + CHUNKED + END + b"0\r\n\r\n" + HIDDEN, "400 end"),
    Row("chunks and length", POST + CHUNKED + _ALL + END + b"0\r\n\r\n" + HIDDEN, "400 end"),
    Row(
        "length and chunks that agree", POST + b"Content-Length: %d\r\n" % len(CHUNKS) + CHUNKED + END + CHUNKS + HIDDEN,
        "400 end",
    ),
    Row("length 0 and chunks", POST + CHUNKED + b"Content-Length: 0\r\n\r\n" + CHUNKS + HIDDEN, "400 end"),
    Row("bad length after a good request", FIRST + _length(b" +12"), "200 400 end"),
    Row("a body shorter than its length", (POST + _FIFTY + b"half", Wait.HALF_CLOSE), "400 end", contains="4 of 50 bytes", follow=False),
    Row(
        "a body shorter than its length, ended later", (POST + _FIFTY + b"half", 0.3, Wait.HALF_CLOSE), "400 end",
        contains="4 of 50 bytes", follow=False,
    ),
    Row("a body that never starts", (POST + _FIFTY, Wait.HALF_CLOSE), "400 end", contains="0 of 50 bytes", follow=False),
    Row("a whole request, then a half-close", (POST + LENGTH + END + TEXT, Wait.HALF_CLOSE), "200 end", contains=READ, follow=False),
    Row("a head without its end, then a half-close", (POST, Wait.HALF_CLOSE), "400 end or end", follow=False),
    Row("half a first line, then a half-close", (b"POST / HT", Wait.HALF_CLOSE), "400 end or end", follow=False),
    Row("half a request after a whole one, then a half-close", (FIRST + POST, Wait.HALF_CLOSE), "200 400 end or 200 end", follow=False),
    Row("nothing, then a half-close", (Wait.HALF_CLOSE,), "end", follow=False),
]  # fmt: skip
