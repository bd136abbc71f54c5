"""Expect: 100-continue: RFC 9110 10.1.1."""

from __future__ import annotations

from tests.function.http.table import CHUNKED, CHUNKS, END, HIDDEN, LENGTH, POST, READ, TEXT, Row, Wait, chunk

_ASKED, _READ = "100 200 go", "Content-Type: application/x-ndjson"
_EXPECT = b"Expect: 100-continue\r\n"
_LINE = b'{"text": "good morning"}\n'
_JSON = POST.replace(b"text/plain", b"application/json")
_LINES = POST.replace(b"text/plain", b"application/x-ndjson")
_NOTHING = POST.replace(b"/", b"/nothing", 1) + b"Content-Length: %d\r\n" % len(HIDDEN)
_OLD = POST.replace(b"HTTP/1.1", b"HTTP/1.0")
_OLD_LINES = _LINES.replace(b"HTTP/1.1", b"HTTP/1.0")


def _waits(name: str, head: bytes, body: bytes, outcome: str = _ASKED, contains: str = READ) -> Row:
    """A client that sends its body when it is asked for it, or after a second."""
    return Row(f"expect {name}", (head + END, Wait.ANSWER, body), outcome, contains=contains)


ROWS = [
    _waits("a text", POST + LENGTH + _EXPECT, TEXT),
    _waits("a text, named first", POST + _EXPECT + LENGTH, TEXT),
    _waits("in capitals, between spaces", POST + LENGTH + b"Expect:   100-CONTINUE  \r\n", TEXT),
    _waits("between tabs", POST + LENGTH + b"Expect:\t100-Continue\t\r\n", TEXT),
    _waits("without a space", POST + LENGTH + b"EXPECT:100-continue\r\n", TEXT),
    _waits("chunks", POST + CHUNKED + _EXPECT, CHUNKS),
    _waits("JSON", _JSON + b"Content-Length: 24\r\n" + _EXPECT, _LINE[:-1]),
    _waits("JSON in chunks", _JSON + CHUNKED + _EXPECT, chunk(_LINE) + b"0\r\n\r\n"),
    _waits("lines", _LINES + b"Content-Length: 25\r\n" + _EXPECT, _LINE, contains=_READ),
    _waits("lines in chunks", _LINES + CHUNKED + _EXPECT, chunk(_LINE) + b"0\r\n\r\n", contains=_READ),
    _waits("lines, between tabs", _LINES + CHUNKED + b"Expect:\t100-CONTINUE \r\n", chunk(_LINE) + b"0\r\n\r\n", contains=_READ),
    _waits("in HTTP/1.0", _OLD + LENGTH + _EXPECT, TEXT, "200 end"),
    _waits("lines in HTTP/1.0", _OLD_LINES + b"Content-Length: 25\r\n" + _EXPECT, _LINE, "200 end or 505 end or 400 end", ""),
    _waits("a text of 100,001 bytes", POST + b"Content-Length: 100001\r\n" + _EXPECT, HIDDEN, "413 end", ""),
    _waits("a text of a terabyte", POST + b"Content-Length: 1000000000000\r\n" + _EXPECT, HIDDEN, "413 end", ""),
    _waits("an unknown path", _NOTHING + _EXPECT, HIDDEN, "404 end or 100 404 go or 100 404 end", ""),
    _waits("a bad length", POST + b"Content-Length: +12\r\n" + _EXPECT, TEXT + HIDDEN, "400 end", ""),
    _waits("no body", POST + b"Content-Length: 0\r\n" + _EXPECT, b"", "422 go or 100 422 go", ""),
    _waits("an unknown expectation", POST + LENGTH + b"Expect: foo\r\n", TEXT, "200 go or 417 end", ""),
    Row("expect a text, sent without waiting", POST + LENGTH + _EXPECT + END + TEXT, "100 200 go or 200 go", contains=READ),
    Row("expect lines, sent without waiting", _LINES + b"Content-Length: 25\r\n" + _EXPECT + END + _LINE, "100 200 go or 200 go", contains=_READ),
    Row(
        "expect a text after another request", (POST + LENGTH + END + TEXT + POST + LENGTH + _EXPECT + END, Wait.ANSWER, Wait.ANSWER, TEXT),
        "200 100 200 go", contains=READ,
    ),
]  # fmt: skip
