"""Which rows were red when this table was written, and what was seen of them; every other row was right already.

The server was cheroot 11 behind a framing of our own, which left tracebacks in its log too.
"""

from __future__ import annotations

RED: dict[str, tuple[str, ...]] = {
    "200 go": (
        "two lengths, the first shorter", "two lengths in small letters", "chunk body ended by a line feed",
        "chunk body ended by letters", "trailer with a space in its name", "trailer with a space before its colon",
        "trailer without a colon", "trailer without a name", "trailer folded", "trailer with a NUL",
        "trailer with a line feed", "trailer of 40 KiB", "trailer of 40 KiB in many fields", "chunk extension of 40 KiB",
        "chunk extensions of 40 KiB together", "field folded", "field folded by a tab", "field folded without a value",
        "field without a name", "field of only a space", "field with a NUL", "field with a control character",
        "field with an escape", "field with a DEL", "field with a bare carriage return",
        "field that ends with two carriage returns", "field with a space in its name", "field with a NUL in its name",
        "field with a parenthesis in its name", "field with a quote in its name",
        "field with a non-ASCII letter in its name", "host two", "host two that are the same", "host with a space",
        "host with a path", "host with a user", "host with a query", "host with a comma",
        "host with a port that is not a number", "host with an open bracket", "line of HTTP/+1.1",
        "line with a space at its end", "line with a space at its beginning", "line with a carriage return",
        "target of two slashes", "connection Close", "connection close in a list", "connection close without a space",
        "connection close in a second field", "connection close beside keep-alive", "upgrade to h2c and close",
        "expect in capitals, between spaces", "expect between tabs", "expect without a space",
    ),
    "200 200 go": (
        "two lengths, the first longer", "two lengths that are the same", "two lengths, the first empty",
        "length after a vertical tab", "length before a vertical tab", "length before a form feed",
        "coding chunked, chunked", "coding chunked twice", "coding with a trailing comma", "coding with a leading comma",
        "coding empty and chunked", "coding after a vertical tab", "coding before a vertical tab",
        "coding after a bare carriage return", "chunk extension with a NUL", "field length with a space before its colon",
        "field length with a tab before its colon", "field length folded",
        "field length with a space before its colon, after one with an underscore",
    ),
    "400 end without Connection: close": (
        "a body shorter than its length", "a body that never starts",
    ),
    "501 end": (
        "coding chunked, gzip", "coding chunked, identity", "coding chunked and identity", "coding before a NUL",
    ),
    "422 400 end": (
        "coding empty", "field length after a fold", "field length after a bare carriage return",
        "field length with a NUL in its name",
    ),
    "422 end without Connection: close": (
        "coding in HTTP/1.0",
    ),
    "415 end without Connection: close": (
        "coding in HTTP/1.0 with keep-alive",
    ),
    "200 end": (
        "chunk cut in the last", "expect lines", "expect lines in chunks", "expect lines, between tabs",
        "expect lines, sent without waiting",
    ),
    "408 end": (
        "trailer without an end",
    ),
    "415 400 end": (
        "field length with a space before its name",
    ),
    "200 400 end": (
        "field length continued",
    ),
    "500 end": (
        "field first one folded",
    ),
    "405 go": (
        "line of a method that is not a token", "target with three leading slashes", "upgrade to websocket",
    ),
    "414 end": (
        "head of a method of 40 KB",
    ),
    "400 end": (
        "target absolute", "target absolute, with an unknown path", "target absolute, with a path for POST",
        "target absolute, without a path", "target absolute, without a path, with a query", "target absolute, https",
        "target absolute, in capitals", "target absolute, with two slashes", "target with two leading slashes",
        "target that looks like a host", "target that looks like a user and a host",
    ),
    "400 end without what the answer must contain": (
        "target absolute, of a text", "target absolute, with a query",
        "target absolute, without a path, with a query that is used",
    ),
    "308 go with what no answer may contain": (
        "target with two slashes inside",
    ),
    "404 go": (
        "target with a raw NUL", "target with a control character", "target with a DEL",
    ),
    "100 200 end": (
        "expect in HTTP/1.0",
    ),
    "100 408 end": (
        "expect a text of 100,001 bytes", "expect a text of a terabyte",
    ),
    "100 400 end": (
        "expect a bad length",
    ),
    "200 endseconds 0.0": (
        "late in the head after a whole request", "late in the body after a whole request",
        "late in the first line after a whole request",
    ),
    "200 end without what the answer must contain": (
        "lines with a summary", "lines with a summary and a length", "lines with a summary, of an empty body",
        "lines shorter than promised", "lines shorter than promised, in a line",
        "lines shorter than promised, in the first line", "lines in chunks without the end of the last",
        "lines with a negative chunk", "lines with an invalid trailer",
    ),
    "200-cut end without what the answer must contain": (
        "lines in chunks without the last", "lines cut in a chunk", "lines cut in a chunk's size",
        "lines with a summary, cut", "lines with an invalid chunk", "lines with a chunk longer than its size",
    ),
    "end": (
        "lines with an invalid first chunk",
    ),
}  # fmt: skip
