"""func-python 0.8 with hypercorn 0.17 and h11 0.16: by reason, then by outcome, the rows."""

from __future__ import annotations

_LATE_HEADS = ("late in the method", "late in the first line", "late in a field", "late before the end of the head")

HYPERCORN: dict[str, dict[str, tuple[str, ...]]] = {
    "h11 joins equal lengths into one before the application sees them": {
        "200 200 go": ("two lengths that are the same", "length as a list"),
    },
    "h11 answers every coding but chunked with 501": {
        "501 end": (
            "coding chunked, gzip", "coding chunked, chunked", "coding chunked twice", "coding chunked, identity",
            "coding chunked and identity", "coding with a trailing comma", "coding empty", "coding empty and chunked",
        ),
    },
    "h11 takes a chunk's size of up to 20 digits, and the deadline ends it": {
        "408 end": ("chunk size of more than 64 bits",),
    },
    "h11 reads an extension up to the line's end, whatever is in it": {
        "200 200 go": ("chunk extension with a carriage return", "chunk extension with a NUL"),
    },
    "h11 takes a bare line feed for the end of a line": {
        "200 200 go": (
            "chunk body ended by a line feed", "field length after a bare line feed", "line feeds only",
            "a line feed after the first line", "a line feed after a field", "a line feed as the end",
        ),
        "200 go": ("trailer with a line feed",),
    },
    "h11 unfolds a field before the application sees it": {
        "200 200 go": ("field length folded",),
        "200 go": ("trailer folded", "field folded", "field folded by a tab", "field folded without a value", "field of only a space"),
        "415 400 end": ("field length with a space before its name",),
        "422 400 end": ("field length after a fold",),
    },
    "hypercorn limits the bytes that wait to be parsed, not a trailer or an extension that comes in one piece": {
        "200 go": (
            "trailer of 40 KiB", "trailer of 40 KiB in many fields", "chunk extension of 40 KiB",
            "chunk extensions of 40 KiB together",
        ),
    },
    "hypercorn puts a method into capitals before the application sees it": {
        "200 go": ("line of a method in small letters",),
    },
    "hypercorn refuses a request that ends the connection when more bytes follow it": {
        "400 end": (
            "host missing in HTTP/1.0", "connection Close", "connection close in a list", "connection close without a space",
            "connection close between tabs", "connection close in a second field", "connection close beside keep-alive",
            "connection HTTP/1.0", "connection keep-alive in HTTP/1.0", "connection close, with a body and a request after it",
            "404 that closes, with a length", "404 that closes, in chunks", "expect in HTTP/1.0",
            "HEAD in HTTP/1.0", "HEAD that closes",
        ),
    },
    "h11 takes no empty line before a request": {
        "400 end": ("line after an empty one",),
        "200 400 end": ("line after an empty one, after a body",),
    },
    "hypercorn speaks HTTP/2 to whom its preface or an upgrade asks for it": {
        "0-cut open": ("line of HTTP/2's preface",),
        "0-cut end": ("line of HTTP/2's preface, with a request of HTTP/2",),
        "101 0-cut end": ("upgrade to h2c", "upgrade to h2c and close"),
    },
    "hypercorn takes the upgrade to a websocket, which func-python does not": {
        "400 open": ("upgrade to websocket",),
    },
    "hypercorn closes a connection whose head does not come within 5 s, and has no answer for it": {
        "end": (*_LATE_HEADS, "late in the head, a byte at a time", "late in fields, a byte at a time"),
        "200 end": (
            "late in the head after a whole request", "late in the first line after a whole request",
            "late in the head after a whole request, a byte at a time",
        ),
    },
    "hypercorn closes the connection of a malformed chunk at once: the application cannot say so in a line": {
        "200-cut end": (
            "lines with an invalid chunk", "lines with a chunk longer than its size", "lines with a negative chunk",
            "lines with an invalid trailer",
        ),
    },
    "hypercorn answers a client that ends its side in a body by itself, unless it reads that with the last bytes": {
        "400 end": ("a body shorter than its length, ended later",),
        "200-cut end": ("lines in chunks without the last, ended later",),
    },
    "hypercorn asks for a body before the application sees the head": {
        "100 413 end": ("expect a text of 100,001 bytes", "expect a text of a terabyte"),
    },
}  # fmt: skip
