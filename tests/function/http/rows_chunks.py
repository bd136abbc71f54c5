"""Transfer-Encoding and chunks: RFC 9112 6.1, 7.1."""

from __future__ import annotations

from tests.function.http.table import CHUNKED, CHUNKS, END, FIRST, HIDDEN, POST, READ, TEXT, Row, Wait, chunk

_ENDED = b"0\r\n\r\n"
#: A coding that is not known, rather than one that may not be there: RFC 9112 6.1 names the status.
_UNKNOWN = "501 end or 400 end"


def _coding(name: str, *values: bytes, outcome: str = "400 end") -> Row:
    """A server that does not take the values for chunked would answer what is in the chunk or behind it."""
    lines = b"".join(b"Transfer-Encoding:" + value + END for value in values)
    return Row(f"coding {name}", POST + lines + END + chunk(HIDDEN) + _ENDED + HIDDEN, outcome)


def _malformed(name: str, body: bytes) -> Row:
    return Row(f"chunk {name}", POST + CHUNKED + END + body + HIDDEN, "400 end")


def _read(name: str, body: bytes, contains: str = READ, lacks: str = "") -> Row:
    return Row(f"chunk {name}", POST + CHUNKED + END + body, "200 go", contains=contains, lacks=lacks)


def _trailer(name: str, line: bytes, outcome: str = "200 go", contains: str = READ) -> Row:
    body = chunk(TEXT) + b"0\r\n" + line + END + END
    return Row(f"trailer {name}", POST + CHUNKED + END + body, outcome, contains=contains, lacks="from-a-trailer")


ROWS = [
    _coding("zip", b" zip", outcome=_UNKNOWN),
    _coding("gzip, chunked", b" gzip, chunked", outcome="501 end"),
    _coding("gzip and chunked", b" gzip", b" chunked", outcome=_UNKNOWN),
    _coding("chunked, gzip", b" chunked, gzip"),
    _coding("chunked, chunked", b" chunked, chunked"),
    _coding("chunked twice", b" chunked", b" chunked"),
    _coding("chunked, identity", b" chunked, identity"),
    _coding("chunked and identity", b" chunked", b" identity"),
    _coding("identity and chunked", b" identity", b" chunked", outcome=_UNKNOWN),
    _coding("identity, chunked", b" identity, chunked", outcome=_UNKNOWN),
    _coding("identity", b" identity", outcome=_UNKNOWN),
    _coding("xchunked", b" xchunked", outcome=_UNKNOWN),
    _coding("chunkedx", b" chunkedx", outcome=_UNKNOWN),
    _coding("x chunked", b" x chunked", outcome=_UNKNOWN),
    _coding("in quotes", b' "chunked"', outcome=_UNKNOWN),
    _coding("in single quotes", b" 'chunked'", outcome=_UNKNOWN),
    _coding("with a parameter", b" chunked;a=b", outcome=_UNKNOWN),
    _coding("with a trailing comma", b" chunked,"),
    _coding("with a leading comma", b" ,chunked", outcome=_UNKNOWN),
    _coding("empty", b""),
    _coding("empty and chunked", b"", b" chunked"),
    _coding("after a vertical tab", b" \x0bchunked"),
    _coding("before a vertical tab", b" chunked\x0b"),
    _coding("before a NUL", b" chunked\x00"),
    _coding("after a bare carriage return", b" \rchunked"),
    _coding("with a no-break space", b" chunked\xa0", outcome=_UNKNOWN),
    _coding("with a long s", b" chunked\xc5\xbf", outcome=_UNKNOWN),
    Row("coding in HTTP/1.0", b"POST / HTTP/1.0\r\nHost: x\r\nContent-Type: text/plain\r\n" + CHUNKED + END + CHUNKS + HIDDEN, "400 end"),
    Row("coding in HTTP/1.0 with keep-alive", b"POST / HTTP/1.0\r\nConnection: keep-alive\r\n" + CHUNKED + END + CHUNKS + HIDDEN, "400 end"),
    Row("coding in a field in capitals", POST + CHUNKED.upper() + END + CHUNKS, "200 go", contains=READ),
    Row("coding CHUNKED", POST + b"Transfer-Encoding: CHUNKED\r\n\r\n" + CHUNKS, "200 go", contains=READ),
    Row("coding after spaces", POST + b"Transfer-Encoding:   chunked\r\n\r\n" + CHUNKS, "200 go", contains=READ),
    Row("coding between tabs", POST + b"Transfer-Encoding:\tchunked\t\r\n\r\n" + CHUNKS, "200 go or 400 end or 501 end"),
    _malformed("size negative", b"-c\r\n" + TEXT + b"\r\n0\r\n\r\n"),
    _malformed("size with a plus", b"+c\r\n" + TEXT + b"\r\n0\r\n\r\n"),
    _malformed("size with 0x", b"0xc\r\n" + TEXT + b"\r\n0\r\n\r\n"),
    _malformed("size with an underscore", b"0_c\r\n" + TEXT + b"\r\n0\r\n\r\n"),
    _malformed("size empty", b"\r\n" + TEXT + b"\r\n0\r\n\r\n"),
    _malformed("size that is not a number", b"zz\r\n" + TEXT + b"\r\n0\r\n\r\n"),
    _malformed("size after a space", b" c\r\n" + TEXT + b"\r\n0\r\n\r\n"),
    _malformed("size of two words", b"c c\r\n" + TEXT + b"\r\n0\r\n\r\n"),
    _malformed("size before a NUL", b"c\x00\r\n" + TEXT + b"\r\n0\r\n\r\n"),
    _malformed("size before a vertical tab", b"c\x0b\r\n" + TEXT + b"\r\n0\r\n\r\n"),
    _malformed("size of more than 64 bits", b"1000000000000000c\r\n" + TEXT + b"\r\n0\r\n\r\n"),
    _malformed("size of 5000 digits", b"f" * 5000 + b"\r\n" + TEXT + b"\r\n0\r\n\r\n"),
    _malformed("size too small", b"b\r\n" + TEXT + b"\r\n0\r\n\r\n"),
    _malformed("size too large by one", b"d\r\n" + TEXT + b"\r\n0\r\n\r\n"),
    _malformed("ended by two letters", b"c\r\n" + TEXT + b"XX0\r\n\r\n"),
    _malformed("ended by a line feed", b"c\r\n" + TEXT + b"\n0\r\n\r\n"),
    _malformed("ended by nothing", b"c\r\n" + TEXT + b"0\r\n\r\n"),
    _malformed("lines ended by line feeds", b"c\n" + TEXT + b"\n0\n\n"),
    _malformed("size ended by a line feed", b"c\n" + TEXT + b"\r\n0\r\n\r\n"),
    _malformed("size ended by a carriage return", b"c\r" + TEXT + b"\r\n0\r\n\r\n"),
    _malformed("extension with a line feed", b"c;a\nb\r\n" + TEXT + b"\r\n0\r\n\r\n"),
    _malformed("extension with a carriage return", b"c;a\rb\r\n" + TEXT + b"\r\n0\r\n\r\n"),
    _malformed("extension with a NUL", b"c;a\x00b\r\n" + TEXT + b"\r\n0\r\n\r\n"),
    _malformed("of size 0 ended by a line feed", b"c\r\n" + TEXT + b"\r\n0\n\r\n"),
    _malformed("body ended by a line feed", b"c\r\n" + TEXT + b"\r\n0\r\n\n"),
    _malformed("body ended by letters", b"c\r\n" + TEXT + b"\r\n0\r\nxx"),
    _read("with an extension", b"c;a=b\r\n" + TEXT + b"\r\n0\r\n\r\n"),
    _read("with an extension in quotes", b'c;a="b;c"\r\n' + TEXT + b"\r\n0\r\n\r\n"),
    _read("with an extension of the last one", b"c\r\n" + TEXT + b"\r\n0;a=b\r\n\r\n"),
    _read("size with leading zeros", b"0000c\r\n" + TEXT + b"\r\n000\r\n\r\n"),
    _read("size in capitals", b"C\r\n" + TEXT + b"\r\n0\r\n\r\n"),
    _read("of one byte each", b"".join(chunk(bytes([byte])) for byte in TEXT) + _ENDED),
    _read("with text that looks like the end and a request", chunk(b"0\r\n\r\n" + HIDDEN) + _ENDED, '"label":'),
    Row("chunk of size 0 only", POST + CHUNKED + END + _ENDED, "422 go", contains="is empty"),
    Row("chunk malformed after a good request", FIRST + POST + CHUNKED + END + b"zz\r\n" + HIDDEN, "200 400 end"),
    Row("chunk cut in its text", (POST + CHUNKED + END + b"c\r\ngood", Wait.HALF_CLOSE), "400 end", follow=False),
    Row("chunk cut in its size", (POST + CHUNKED + END + b"c", Wait.HALF_CLOSE), "400 end", follow=False),
    Row("chunk cut before the last", (POST + CHUNKED + END + chunk(TEXT), Wait.HALF_CLOSE), "400 end", follow=False),
    Row("chunk cut in the last", (POST + CHUNKED + END + chunk(TEXT) + b"0\r\n", Wait.HALF_CLOSE), "400 end", follow=False),
    Row("chunk cut before the first", (POST + CHUNKED + END, Wait.HALF_CLOSE), "400 end", follow=False),
    _trailer("that sets an id", b"X-Request-Id: from-a-trailer"),
    _trailer("that sets a content type", b"Content-Type: application/from-a-trailer"),
    _trailer("that sets a host", b"Host: from-a-trailer"),
    _trailer("that sets a host and an origin", b"Host: a\r\nOrigin: https://from-a-trailer"),
    _trailer("that sets Connection", b"Connection: close", "200 go or 200 end"),
    _trailer("with a checksum", b"X-Sum: 1"),
    _trailer("that sets a length", b"Content-Length: %d" % len(HIDDEN), "400 end or 200 go", ""),
    _trailer("that sets a coding", b"Transfer-Encoding: chunked", "400 end or 200 go", ""),
    _trailer("with a space in its name", b"X Sum: 1", "400 end", ""),
    _trailer("with a space before its colon", b"X-Sum : 1", "400 end", ""),
    _trailer("without a colon", b"X-Sum", "400 end", ""),
    _trailer("without a name", b": 1", "400 end", ""),
    _trailer("folded", b"X-Sum: 1\r\n 2", "400 end", ""),
    _trailer("with a NUL", b"X-Sum: a\x00b", "400 end", ""),
    _trailer("with a line feed", b"X-Sum: a\nb: c", "400 end", ""),
    _trailer("of 40 KiB", b"X-Sum: " + b"1" * 40_960, "431 end or 400 end", ""),
    _trailer("of 40 KiB in many fields", b"\r\n".join(b"X-%d: 1" % i for i in range(4096)), "431 end or 400 end", ""),
    Row("chunk extension of 40 KiB", POST + CHUNKED + END + b"c;a=" + b"b" * 40_960 + END + TEXT + b"\r\n0\r\n\r\n", "431 end or 400 end"),
    Row("chunk extensions of 40 KiB together", POST + CHUNKED + END + (b"1;a=" + b"b" * 400 + b"\r\nx\r\n") * 100 + _ENDED, "431 end or 400 end"),
    Row("trailer without an end", POST + CHUNKED + END + chunk(TEXT) + b"0\r\nX-Sum: " + b"1" * 40_960, "431 end or 400 end", follow=False),
    Row("chunk extension without an end", POST + CHUNKED + END + b"c;a=" + b"b" * 40_960, "431 end or 400 end", follow=False),
]  # fmt: skip
