"""Lines of JSON: errors after the head are lines, and a part is never taken for the whole."""

from __future__ import annotations

from tests.function.http.table import CHUNKED, END, HIDDEN, Row, Step, Wait, chunk

_HEAD = b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n"
_SUMMED = _HEAD.replace(b"/classify", b"/classify?summary=true")
_NOT_SUMMED = _HEAD.replace(b"/classify", b"/classify?summary=false")
_NOTHING = _HEAD.replace(b"/classify", b"/nothing")
_OLD = _HEAD.replace(b"HTTP/1.1", b"HTTP/1.0")
_GOOD = b'{"text": "good morning"}\n'
_BAD = b"not JSON\n"
_LAST = b"0\r\n\r\n"

#: The last line of an answer whose request was not brought to its end: it belongs to no line of the request.
_ENDED_EARLY = '\n{"error":'
_AT_ONCE = (0.0, 1.4)


def _length(count: int) -> bytes:
    return b"Content-Length: %d\r\n\r\n" % count


def _cut(name: str, *steps: Step, contains: str = _ENDED_EARLY, follow: bool = False) -> Row:
    return Row(f"lines {name}", steps, "200-cut end", contains=contains, follow=follow)


def _whole(name: str, data: bytes, contains: str, lacks: str = '\n{"error":') -> Row:
    return Row(f"lines {name}", data, "200 go or 200 end", contains=contains, lacks=lacks)


def _refused(name: str, target: bytes, lines: bytes, status: int) -> list[Row]:
    """The answer does not wait for a body that has no end."""
    head = _HEAD.replace(b"/classify", target) + lines
    bodies = {
        "in chunks": CHUNKED + END + chunk(_GOOD),
        "with a length": _length(10**6) + _GOOD,
        "that never starts": CHUNKED + END,
    }
    return [
        Row(f"lines refused, {name}, {how}", head + body, f"{status} end", follow=False, within=_AT_ONCE)
        for how, body in bodies.items()
    ] + [
        Row(f"lines refused, {name}, with a request as its body", head + CHUNKED + END + chunk(HIDDEN) + _LAST, f"{status} end or {status} go")
    ]  # fmt: skip


ROWS = [
    _whole("in chunks", _HEAD + CHUNKED + END + chunk(_GOOD) * 2 + _LAST, '{"line":2,"label"'),
    _whole("in one chunk", _HEAD + CHUNKED + END + chunk(_GOOD * 2) + _LAST, '{"line":2,"label"'),
    _whole("in chunks of one byte", _HEAD + CHUNKED + END + b"".join(chunk(bytes([byte])) for byte in _GOOD) + _LAST, '{"line":1,"label"'),
    _whole("with a length", _HEAD + _length(2 * len(_GOOD)) + _GOOD * 2, '{"line":2,"label"'),
    _whole("the last without a line feed", _HEAD + _length(2 * len(_GOOD) - 1) + _GOOD + _GOOD[:-1], '{"line":2,"label"'),
    _whole("of an empty body", _HEAD + CHUNKED + END + _LAST, "Content-Type: application/x-ndjson"),
    _whole("that look like a request", _HEAD + CHUNKED + END + chunk(HIDDEN) + _LAST, '{"line":1,"error"'),
    _whole("with a trailer", _HEAD + CHUNKED + END + chunk(_GOOD) + b"0\r\nX-Request-Id: hidden\r\n\r\n", '{"line":1,"label"'),
    _whole("with a summary", _SUMMED + CHUNKED + END + chunk(_GOOD + _BAD) + _LAST, '\n{"lines":2,"errors":1}\n'),
    _whole("with a summary and a length", _SUMMED + _length(2 * len(_GOOD)) + _GOOD * 2, '\n{"lines":2,"errors":0}\n'),
    _whole("with a summary, of an empty body", _SUMMED + CHUNKED + END + _LAST, '{"lines":0,"errors":0}\n'),
    _whole("with summary=false", _NOT_SUMMED + _length(len(_GOOD)) + _GOOD, '{"line":1,"label"', '"lines":'),
    Row("lines in HTTP/1.0", _OLD + _length(len(_GOOD)) + _GOOD, "200 end or 505 end or 400 end", lacks="Transfer-Encoding"),
    _cut("shorter than promised", _HEAD + _length(100) + _GOOD, Wait.HALF_CLOSE),
    _cut("shorter than promised, in a line", _HEAD + _length(100) + _GOOD + b'{"text": "go', Wait.HALF_CLOSE),
    _cut("shorter than promised, in the first line", _HEAD + _length(100) + _GOOD[:9], Wait.HALF_CLOSE, contains='{"error":'),
    _cut("in chunks without the last", _HEAD + CHUNKED + END + chunk(_GOOD), Wait.HALF_CLOSE),
    _cut("in chunks without the last, ended later", _HEAD + CHUNKED + END + chunk(_GOOD), 0.3, Wait.HALF_CLOSE),
    _cut("in chunks without the end of the last", _HEAD + CHUNKED + END + chunk(_GOOD) + b"0\r\n", Wait.HALF_CLOSE),
    _cut("cut in a chunk", _HEAD + CHUNKED + END + chunk(_GOOD) + b"50\r\n" + _GOOD, Wait.HALF_CLOSE),
    _cut("cut in a chunk's size", _HEAD + CHUNKED + END + chunk(_GOOD) + b"5", Wait.HALF_CLOSE),
    _cut("with a summary, cut", _SUMMED + CHUNKED + END + chunk(_GOOD), Wait.HALF_CLOSE),
    _cut("with an invalid chunk", _HEAD + CHUNKED + END + chunk(_GOOD), Wait.ANSWER, b"zz\r\n" + HIDDEN, follow=True),
    _cut("with a chunk longer than its size", _HEAD + CHUNKED + END + chunk(_GOOD), Wait.ANSWER, b"5\r\n" + _GOOD + END + HIDDEN, follow=True),
    _cut("with a negative chunk", _HEAD + CHUNKED + END + chunk(_GOOD), Wait.ANSWER, b"-5\r\n" + HIDDEN, follow=True),
    _cut("with an invalid trailer", _HEAD + CHUNKED + END + chunk(_GOOD), Wait.ANSWER, b"0\r\nX Y: z\r\n\r\n" + HIDDEN, follow=True),
    Row("lines with an invalid chunk, all at once", _HEAD + CHUNKED + END + chunk(_GOOD) + b"zz\r\n" + HIDDEN, "200-cut end or 400 end"),
    Row("lines with an invalid first chunk", _HEAD + CHUNKED + END + b"zz\r\n" + HIDDEN, "200-cut end or 400 end"),
    *_refused("for a content encoding", b"/classify", b"Content-Encoding: gzip\r\n", 415),
    *_refused("for an option", b"/classify?top_k=0", b"", 422),
    Row("lines to an unknown path, without an end", _NOTHING + CHUNKED + END + chunk(_GOOD), "404 end or 408 end", follow=False),
]  # fmt: skip
