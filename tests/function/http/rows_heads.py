"""First lines, versions, header fields, hosts and the size of a head: RFC 9112 2 to 5, RFC 9110 5 and 7.2."""

from __future__ import annotations

from tests.function.http.table import CHUNKED, END, FIRST, GET, HIDDEN, LENGTH, NEXT, POST, TEXT, Row, Step, drip


def _field(name: str, line: bytes, outcome: str = "400 end", *, head: bytes = GET) -> Row:
    return Row(f"field {name}", head + line + END + END, outcome)


def _body(name: str, lines: bytes) -> Row:
    """A field from which one server learns of a body and another does not."""
    return Row(f"field {name}", POST + lines + END + TEXT + HIDDEN, "400 end")


def _host(name: str, lines: bytes, outcome: str = "400 end") -> Row:
    return Row(f"host {name}", b"GET / HTTP/1.1\r\n" + lines + END, outcome)


def _line(name: str, line: bytes, outcome: str = "400 end") -> Row:
    return Row(f"line {name}", line + b"\r\nHost: x\r\n\r\n", outcome)


def _slowly(data: bytes) -> tuple[Step, ...]:
    """Pieces of a thousand bytes."""
    return tuple(step for at in range(0, len(data), 1000) for step in (data[at : at + 1000], 0.01))


_LARGE = b"a" * 40_000
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#: Frames: settings, and GET / by names and values that HPACK numbers. Source: RFC 9113, 4.1 and 6; RFC 7541, A.
_SETTINGS = bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
_HEADERS = bytes((0, 0, 6, 1, 5, 0, 0, 0, 1, 0x82, 0x84, 0x86, 0x41, 1)) + b"x"

ROWS = [
    _body("length with a space before its colon", b"Content-Length : 12\r\n"),
    _body("length with a tab before its colon", b"Content-Length\t: 12\r\n"),
    _body("length with a space before its name", b" Content-Length: 12\r\n"),
    _body("length folded", b"Content-Length:\r\n 12\r\n"),
    _body("length continued", b"Content-Length: 1\r\n 2\r\n"),
    _body("length after a fold", b"X: a\r\n Content-Length: 12\r\n"),
    _body("length after a bare line feed", b"X: a\nContent-Length: 12\r\n"),
    _body("length after a bare carriage return", b"X: a\rContent-Length: 12\r\n"),
    _body("length with a NUL in its name", b"Content-Length\x00: 12\r\n"),
    _body("length with a space before its colon, after one with an underscore", b"Content_Length: 200\r\nContent-Length : 12\r\n"),
    _body("coding with a space before its colon", b"Transfer-Encoding : chunked\r\n"),
    _body("coding folded", b"Transfer-Encoding:\r\n chunked\r\n"),
    _body("coding followed by an empty fold", CHUNKED + b" \r\n"),
    _body("coding after a bare line feed", b"X: a\nTransfer-Encoding: chunked\r\n"),
    _body("coding that ends with a line feed", LENGTH + b"Transfer-Encoding: chunked\n"),
    _field("folded", b"X: a\r\n b"),
    _field("folded by a tab", b"X: a\r\n\tb"),
    _field("folded without a value", b"X: a\r\n "),
    _field("first one folded", b" Host: x", head=b"GET / HTTP/1.1\r\n"),
    _field("without a name", b": a"),
    _field("without a colon", b"Xa"),
    _field("of only a space", b" "),
    _field("with a NUL", b"X: a\x00b"),
    _field("with a control character", b"X: a\x01b"),
    _field("with an escape", b"X: a\x1b[31mb"),
    _field("with a DEL", b"X: a\x7fb"),
    _field("with a bare carriage return", b"X: a\rb"),
    _field("that ends with two carriage returns", b"X: a\r"),
    _field("with a space in its name", b"X Y: a"),
    _field("with a NUL in its name", b"X\x00: a"),
    _field("with a parenthesis in its name", b"X(: a"),
    _field("with a quote in its name", b'"X": a'),
    _field("with a non-ASCII letter in its name", b"X\xe9: a"),
    _field("with non-ASCII letters in its value", b"X: \xe9\xc3\xa9", "200 go"),
    _field("with a tab in its value", b"X: a\tb", "200 go"),
    _field("with every character that a name may have", b"!#$%&'*+-.^_`|~09azAZ: a", "200 go"),
    _field("with an empty value", b"X:", "200 go"),
    _field("twice", b"X: a\r\nX: b", "200 go"),
    _field("among ninety", b"\r\n".join(b"X-%d: a" % i for i in range(90)), "200 go"),
    Row("line feeds only", b"GET / HTTP/1.1\nHost: x\n\n" + HIDDEN, "400 end"),
    Row("a line feed after the first line", b"GET / HTTP/1.1\nHost: x\r\n\r\n" + HIDDEN, "400 end"),
    Row("a line feed after a field", b"GET / HTTP/1.1\r\nHost: x\nX: y\r\n\r\n" + HIDDEN, "400 end"),
    Row("a line feed as the end", GET + b"\n" + HIDDEN, "400 end"),
    Row("a carriage return as the end", GET + b"\r" + HIDDEN, "400 end"),
    _host("missing", b""),
    _host("two", b"Host: x\r\nHost: y\r\n"),
    _host("two that are the same", b"Host: x\r\nHost: x\r\n"),
    _host("with a space", b"Host: a b\r\n"),
    _host("with a path", b"Host: a/b\r\n"),
    _host("with a user", b"Host: a@b\r\n"),
    _host("with a query", b"Host: a?b\r\n"),
    _host("with a comma", b"Host: a, b\r\n"),
    _host("with a port that is not a number", b"Host: a:b\r\n"),
    _host("with an open bracket", b"Host: [::1\r\n"),
    _host("empty", b"Host:\r\n", "200 go"),
    _host("with a port", b"Host: a.example:8080\r\n", "200 go"),
    _host("of IPv6", b"Host: [::1]:80\r\n", "200 go"),
    _host("of IPv4", b"Host: 127.0.0.1\r\n", "200 go"),
    _host("with an underscore", b"Host: a_b.example\r\n", "200 go"),
    Row("host missing in HTTP/1.0", b"GET / HTTP/1.0\r\n\r\n", "200 end"),
    Row("host missing after a good request", FIRST + b"GET / HTTP/1.1\r\n\r\n", "200 400 end"),
    Row("host missing, with a body", b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN, "400 end"),
    _line("of HTTP/0.9 without a version", b"GET /", "400 end or 505 end"),
    _line("of HTTP/0.9", b"GET / HTTP/0.9", "400 end or 505 end"),
    _line("of HTTP/2.0", b"GET / HTTP/2.0", "400 end or 505 end"),
    _line("of HTTP/3.0", b"GET / HTTP/3.0", "400 end or 505 end"),
    _line("of HTTP/9.9", b"GET / HTTP/9.9", "400 end or 505 end"),
    _line("of HTTP/1.10", b"GET / HTTP/1.10", "400 end or 505 end"),
    _line("of HTTP/1", b"GET / HTTP/1", "400 end or 505 end"),
    _line("of HTTP/+1.1", b"GET / HTTP/+1.1", "400 end or 505 end"),
    _line("of http/1.1", b"GET / http/1.1", "400 end or 505 end"),
    _line("of another protocol", b"GET / ICY/1.1", "400 end or 505 end"),
    Row("line of HTTP/2's preface", _PREFACE, "400 end or 505 end", contains="HTTP/2 is not served"),
    Row("line of HTTP/2's preface, with a request of HTTP/2", _PREFACE + _SETTINGS + _HEADERS, "400 end or 505 end", follow=False),
    Row("line of TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n", "400 end"),
    _line("with a tab", b"GET\t/ HTTP/1.1"),
    _line("with a space at its end", b"GET / HTTP/1.1 "),
    _line("with a space at its beginning", b" GET / HTTP/1.1"),
    _line("with a space in its path", b"GET /a b HTTP/1.1"),
    _line("of a method alone", b"GET"),
    _line("with a carriage return", b"GET /\r HTTP/1.1"),
    _line("of a method that is not a token", b"G(T / HTTP/1.1"),
    _line("of a method in small letters", b"get / HTTP/1.1", "400 end or 405 go or 501 end"),
    _line("of an unknown method", b"FOO / HTTP/1.1", "400 end or 405 go or 501 end"),
    _line("with two spaces", b"GET  / HTTP/1.1", "200 go or 400 end"),
    Row("line after an empty one", b"\r\n" + GET + END, "200 go"),
    Row("line after an empty one, after a body", POST + LENGTH + END + TEXT + END, "200 go"),
    _line("of CONNECT", b"CONNECT a:80 HTTP/1.1", "400 end or 404 end or 404 go or 405 end or 405 go or 501 end"),
    Row("line of TRACE", b"TRACE / HTTP/1.1\r\nHost: x\r\nCookie: secret\r\n\r\n", "405 go or 405 end or 501 end or 400 end", lacks="secret"),
    Row("head of a field of 40 KB", GET + b"X: " + _LARGE + END + END + HIDDEN, "431 end"),
    Row("head of a name of 40 KB", GET + _LARGE + b": x\r\n\r\n" + HIDDEN, "431 end"),
    Row("head of many fields", GET + b"X-Filler: abcdefghijklmnop\r\n" * 1500 + END + HIDDEN, "431 end"),
    Row("head of a target of 40 KB", b"GET /" + _LARGE + b" HTTP/1.1\r\nHost: x\r\n\r\n" + HIDDEN, "431 end or 414 end"),
    Row("head of a method of 40 KB", _LARGE.upper() + b" / HTTP/1.1\r\nHost: x\r\n\r\n" + HIDDEN, "431 end or 400 end"),
    Row("head of a field without an end", GET + b"X: " + _LARGE, "431 end", follow=False),
    Row("head of a target without an end", b"GET /" + _LARGE, "431 end or 414 end", follow=False),
    Row("head of empty lines without an end", b"\r\n" * 20_000, "431 end or 400 end or 408 end or end", follow=False),
    Row("head that arrives slowly", _slowly(GET + b"X: " + _LARGE), "431 end", follow=False),
    Row("head of 40 KB after a good request", FIRST + GET + b"X: " + _LARGE + END + END, "200 431 end"),
    Row("head of 31 KB", GET + b"X: " + b"a" * 31_000 + END + END, "200 go"),
    Row("two good requests", FIRST + GET + END, "200 200 go"),
    Row("a request sent a byte at a time", tuple(drip(NEXT, 0.001)), "go", follow=False),
]  # fmt: skip
