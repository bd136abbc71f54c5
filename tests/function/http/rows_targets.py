"""Targets, what a connection is asked for, and bodies of requests that are answered early: RFC 9112 3.2 and 9, RFC 9110 7."""

from __future__ import annotations

from tests.function.http.table import CHUNKED, CHUNKS, END, GET, HIDDEN, LENGTH, POST, READ, TEXT, Row, chunk


def _target(name: str, target: bytes, outcome: str, contains: str = "", lacks: str = "Location") -> Row:
    head = b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\nX-Forwarded-Proto: https\r\n\r\n"
    return Row(f"target {name}", head, outcome, contains=contains, lacks=lacks)


def _text_to(name: str, target: bytes, contains: str = READ, lacks: str = "Location") -> Row:
    head = b"POST " + target + b" HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n" + LENGTH + END
    return Row(f"target {name}", head + TEXT, "200 go", contains=contains, lacks=lacks)


def _option(name: str, lines: bytes, outcome: str, start: bytes = GET) -> Row:
    return Row(f"connection {name}", start + lines + END, outcome)


def _head(name: str, target: bytes, outcome: str, *, lines: bytes = b"", version: bytes = b"HTTP/1.1") -> Row:
    head = b"HEAD " + target + b" " + version + b"\r\nHost: x\r\nAccept: application/json\r\n"
    return Row(f"HEAD {name}", head + (lines or END), outcome, to_head=True)


def _early(name: str, head: bytes, status: int) -> list[Row]:
    """The body is read, or the connection ends; what is in the body is never a request."""
    outcome = f"{status} go or {status} end"
    length = b"Content-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN
    return [
        Row(f"{name}, with a length", head + length, outcome),
        Row(f"{name}, in chunks", head + CHUNKED + END + chunk(HIDDEN) + b"0\r\n\r\n", outcome),
        Row(f"{name}, in malformed chunks", head + CHUNKED + END + b"zz\r\n" + HIDDEN, "400 end"),
    ]


_UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"
_WEBSOCKET = (
    b"Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
_TOO_LARGE = HIDDEN * (100_000 // len(HIDDEN) + 1)
_FORM = POST.replace(b"text/plain", b"application/x-www-form-urlencoded")
_413 = "413 go or 413 end"

ROWS = [
    _target("absolute", b"http://h.example:80/", "200 go"),
    _target("absolute, with an unknown path", b"http://h.example/nothing", "404 go"),
    _target("absolute, with a path for POST", b"http://h.example/classify", "405 go"),
    _target("absolute, without a path", b"http://h.example", "200 go"),
    _target("absolute, without a path, with a query", b"http://h.example?a=b", "200 go"),
    _target("absolute, https", b"https://h.example/", "200 go"),
    _target("absolute, in capitals", b"HTTP://H.EXAMPLE/", "200 go"),
    _target("absolute, with two slashes", b"http://h.example//classify", "404 go"),
    _target("absolute, without a host", b"http://", "400 end", "the target must"),
    _target("absolute, with a port that is no number", b"http://h.example:x/", "400 end", "the target must"),
    _target("absolute, with an open bracket", b"http://[::1/", "400 end", "the target must"),
    _text_to("absolute, of a text", b"http://h.example/classify"),
    _text_to("absolute, with a query", b"http://h.example/classify?top_k=1", '"scores":{"neither":', "hate-speech"),
    _text_to("absolute, without a path, with a query that is used", b"http://h.example?top_k=1", '"scores":{"neither":', "hate-speech"),
    _target("of two slashes", b"//", "404 go"),
    _target("with two leading slashes", b"//classify", "404 go"),
    _target("that looks like a host", b"//h.example/classify", "404 go"),
    _target("that looks like a user and a host", b"//x:y@z", "404 go"),
    _target("with three leading slashes", b"///classify?a=b", "404 go"),
    _target("with two slashes inside", b"/health//liveness", "404 go or 308 go or 301 go", lacks="Location: http:"),
    _target("with a trailing slash", b"/classify/", "404 go"),
    _target("with a percent sign and no hexadecimal number", b"/%zz", "404 go"),
    _target("with a percent sign at its end", b"/a%", "404 go"),
    _target("that is not UTF-8", b"/%ff", "404 go"),
    _target("with a NUL", b"/%00", "404 go"),
    _target("with a line break", b"/a%0d%0aX-Injected:%20yes", "404 go", lacks="\r\nX-Injected"),
    _target("with an escaped slash", b"/%2fclassify", "404 go"),
    _target("with dots", b"/page/../../../etc/passwd", "404 go or 400 end", lacks="root:"),
    _target("with escaped dots", b"/page/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "404 go", lacks="root:"),
    _target("with a fragment", b"/#a", "200 go or 400 end or 404 go"),
    _target("with a fragment after a query", b"/?a=b#c", "200 go or 400 end or 404 go"),
    _target("with a raw NUL", b"/\x00", "400 end"),
    _target("with a control character", b"/\x01", "400 end"),
    _target("with a DEL", b"/\x7f", "400 end"),
    _target("with a non-ASCII letter", b"/\xe9", "400 end or 404 go"),
    _target("without a slash", b"classify", "400 end or 404 go"),
    _target("of a query alone", b"?a=b", "400 end or 404 go"),
    _target("with a query that is not UTF-8", b"/?top_k=%ff&%zz", "200 go"),
    _target("* for GET", b"*", "400 end or 404 go or 405 go"),
    Row("target * for OPTIONS", b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "200 go or 204 go or 400 end or 404 go or 405 go"),
    _option("Close", b"Connection: Close\r\n", "200 end"),
    _option("close in a list", b"Connection: foo, CLOSE\r\n", "200 end"),
    _option("close without a space", b"Connection: foo,close,bar\r\n", "200 end"),
    _option("close between tabs", b"Connection:\tclose\t\r\n", "200 end"),
    _option("close in a second field", b"Connection: foo\r\nConnection: close\r\n", "200 end"),
    _option("close beside keep-alive", b"Connection: keep-alive, close\r\n", "200 end"),
    Row("connection close, and nothing after it", GET + b"Connection: Close\r\n\r\n", "200 end", follow=False),
    Row("connection HTTP/1.0, and nothing after it", b"GET / HTTP/1.0\r\nAccept: application/json\r\n\r\n", "200 end", follow=False),
    _option("closed, not close", b"Connection: closed\r\n", "200 go"),
    _option("keep-alive", b"Connection: Keep-Alive\r\n", "200 go"),
    _option("HTTP/1.0", b"Host: x\r\n", "200 end", b"GET / HTTP/1.0\r\n"),
    _option("keep-alive in HTTP/1.0", b"Connection: Keep-Alive\r\n", "200 go or 200 end", b"GET / HTTP/1.0\r\n"),
    _option("close, with a body and a request after it", b"Connection: close\r\n" + LENGTH + END + TEXT + HIDDEN, "200 end", POST),
    _option("that names Host", b"Connection: host\r\n", "200 go or 400 end"),
    Row("upgrade to h2c", GET + _UPGRADE + END, "200 go"),
    Row("upgrade to h2c, with a length", POST + _UPGRADE + LENGTH + END + TEXT, "200 go", contains=READ),
    Row("upgrade to h2c, in chunks", POST + _UPGRADE + CHUNKED + END + CHUNKS, "200 go", contains=READ),
    Row("upgrade to h2c, with a request as its body", POST + _UPGRADE + b"Content-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN, "200 go"),
    Row("upgrade to websocket", GET + _WEBSOCKET + END, "200 go"),
    Row("upgrade to an unknown protocol", POST + b"Connection: Upgrade\r\nUpgrade: foo/2\r\n" + LENGTH + END + TEXT, "200 go", contains=READ),
    Row("upgrade without a connection option", POST + b"Upgrade: h2c\r\n" + LENGTH + END + TEXT, "200 go", contains=READ),
    Row("upgrade to h2c and close", GET + _UPGRADE.replace(b"Upgrade, ", b"close, Upgrade, ") + END, "200 end"),
    _head("of the page", b"/", "200 go"),
    _head("of liveness", b"/health/liveness", "200 go"),
    _head("of readiness", b"/health/readiness", "200 go"),
    _head("of metrics", b"/metrics", "200 go"),
    _head("of the contract", b"/openapi.json", "200 go"),
    _head("of the model", b"/v2/models/tweets", "200 go"),
    _head("of an unknown path", b"/nothing", "404 go"),
    _head("of an unknown model", b"/v2/models/nothing", "404 go"),
    _head("of what only POST has", b"/classify", "405 go"),
    _head("in HTTP/1.0", b"/", "200 end", version=b"HTTP/1.0"),
    _head("that closes", b"/", "200 end", lines=b"Connection: close\r\n\r\n"),
    _head("with a body", b"/", "200 go", lines=b"Content-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN),
    _head("with a body in chunks", b"/", "200 go", lines=CHUNKED + END + chunk(HIDDEN) + b"0\r\n\r\n"),
    _head("with two hosts", b"/", "400 end", lines=b"Host: x\r\n\r\n"),
    *_early("404", b"POST /nothing HTTP/1.1\r\nHost: x\r\n", 404),
    *_early("405", b"PUT /classify HTTP/1.1\r\nHost: x\r\n", 405),
    *_early("415", b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/xml\r\n", 415),
    *_early("404 that closes", b"POST /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n", 404),
    Row("413, with a length", POST + b"Content-Length: %d\r\n\r\n" % len(_TOO_LARGE) + _TOO_LARGE, _413),
    Row("413, in one chunk", POST + CHUNKED + END + chunk(_TOO_LARGE) + b"0\r\n\r\n", _413),
    Row("413, in many chunks", POST + CHUNKED + END + chunk(HIDDEN) * (100_000 // len(HIDDEN) + 1) + b"0\r\n\r\n", _413),
    Row("413, of a form", _FORM + b"Content-Length: %d\r\n\r\n" % len(_TOO_LARGE) + _TOO_LARGE, _413),
]  # fmt: skip
