"""READ_TIMEOUT_S, which is 2 here: a whole head and its whole body, counted from the request's first byte."""

from __future__ import annotations

from tests.function.http.table import CHUNKED, END, FIRST, POST, Row, Step, drip

_LATE = (1.5, 3.5)
_BODY = POST + b"Content-Length: 50\r\n\r\n"
_CHUNK = POST + CHUNKED + END + b"20\r\n"
_PAUSE = 0.3


def _late(name: str, *steps: Step, outcome: str = "408 end") -> Row:
    return Row(f"late {name}", steps, outcome, follow=False, within=_LATE)


def _dripped(name: str, data: bytes, drops: bytes, outcome: str = "408 end") -> Row:
    return _late(f"{name}, a byte at a time", data, *drip(drops, _PAUSE), outcome=outcome)


ROWS = [
    _late("in the method", b"PO"),
    _late("in the first line", b"POST /class"),
    _late("in a field", POST[:-6]),
    _late("before the end of the head", POST),
    _late("in a body", _BODY + b"half"),
    _late("before a body", _BODY),
    _late("before a body, after 100 Continue", _BODY[:-2] + b"Expect: 100-continue\r\n\r\n", outcome="100 408 end"),
    _late("in a chunk", _CHUNK + b"he"),
    _late("in a chunk's size", _CHUNK[:-2]),
    _late("before the last chunk", POST + CHUNKED + END + b"2\r\nhe\r\n"),
    _late("before the end of the last chunk", POST + CHUNKED + END + b"2\r\nhe\r\n0\r\n"),
    _late("in a form", POST.replace(b"text/plain", b"application/x-www-form-urlencoded") + b"Content-Length: 50\r\n\r\ntext="),
    _late("on an unknown path", b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nhalf"),
    _late("in a body too large", POST + b"Content-Length: 100001\r\n\r\n" + b"a" * 1000, outcome="408 end or 413 end"),
    _late("in the head after a whole request", FIRST + POST, outcome="200 408 end"),
    _late("in the body after a whole request", FIRST + _BODY + b"half", outcome="200 408 end"),
    _late("in the first line after a whole request", FIRST + b"P", outcome="200 408 end"),
    _dripped("in the head", b"POST /", b"classifying"),
    _dripped("in a body", _BODY, b"hello, hello"),
    _dripped("in a chunk", _CHUNK, b"hello, hello"),
    _dripped("in the head after a whole request", FIRST + b"POST /", b"classifying", "200 408 end"),
    _dripped("in the body after a whole request", FIRST + _BODY, b"hello, hello", "200 408 end"),
    _dripped("in fields", POST, b"X: aaaaaaaaa"),
    Row("in time: the second request has a clock of its own", (FIRST, 1.3, POST + b"Content-Length: 12\r\n\r\n", 1.3, b"good morning"), "200 200 go"),
    Row("in time: half a request, and the rest a second later", (POST + b"Content-Length: 12\r\n\r\ngood", 1.0, b" morning"), "200 go"),
]  # fmt: skip
