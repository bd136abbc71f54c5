"""parliament with waitress 3: by reason, then by outcome, the rows about framing."""

from __future__ import annotations

WAITRESS: dict[str, dict[str, tuple[str, ...]]] = {
    "waitress has a limit of its own for a body, 1 GiB": {
        "413 end": ("length of 23 digits", "length of 2^64 + 12"),
    },
    "Python converts no decimal of more than 4,300 digits": {
        "end": ("length of 5000 digits",),
    },
    "waitress frames by the chunks where there is a length too": {
        "422 200 go": ("length and chunks", "chunks and length"),
        "200 200 go": ("length and chunks that agree", "length 0 and chunks"),
    },
    "waitress takes chunked for chunked, however often and with empty members": {
        "200 200 go": (
            "coding chunked, chunked", "coding chunked twice", "coding with a trailing comma", "coding with a leading comma",
            "coding empty and chunked",
        ),
        "422 400 end": ("coding empty",),
    },
    "waitress answers a list with another coding than chunked with 501": {
        "501 end": ("coding chunked, gzip", "coding chunked, identity", "coding chunked and identity"),
    },
    "waitress ignores a coding in HTTP/1.0": {
        "422 end": ("coding in HTTP/1.0",),
        "415 400 end": ("coding in HTTP/1.0 with keep-alive",),
    },
    "waitress does not answer a body that was cut": {
        "end": (
            "a body shorter than its length", "a body shorter than its length, ended later", "a body that never starts",
            "chunk cut in its text", "chunk cut in its size", "chunk cut before the last", "chunk cut in the last",
            "chunk cut before the first",
        ),
    },
    "waitress has no limit for a chunk's size": {
        "open": ("chunk size of more than 64 bits", "chunk size of 5000 digits"),
    },
    "waitress looks for the end of trailers, and at nothing in them": {
        "200 go": (
            "chunk of size 0 ended by a line feed", "chunk body ended by a line feed", "chunk body ended by letters",
            "trailer with a space in its name", "trailer with a space before its colon", "trailer without a colon",
            "trailer without a name", "trailer folded", "trailer with a NUL", "trailer with a line feed",
        ),
    },
    "waitress unfolds": {
        "200 200 go": ("field length folded",),
        "200 go": ("field folded", "field folded by a tab", "field folded without a value", "field of only a space"),
        "415 400 end": ("field length with a space before its name",),
        "422 400 end": ("field length after a fold",),
    },
    "waitress does not look at the host": {
        "200 go": (
            "host missing", "host two", "host two that are the same", "host with a space", "host with a path", "host with a user",
            "host with a query", "host with a comma", "host with a port that is not a number", "host with an open bracket",
        ),
        "200 200 go": ("host missing after a good request",),
        "415 go": ("host missing, with a body",),
    },
    "waitress takes every other version for HTTP/1.0": {
        "200 end": (
            "line of HTTP/0.9 without a version", "line of HTTP/0.9", "line of HTTP/2.0", "line of HTTP/3.0", "line of HTTP/9.9",
        ),
        "404 end": ("line of HTTP/2's preface", "line of HTTP/2's preface, with a request of HTTP/2"),
    },
    "waitress strips the first line": {
        "200 go": ("line with a space at its end", "line with a space at its beginning"),
    },
    "waitress has limits of its own for a head, 256 KiB, and for trailers and extensions": {
        "200 go": (
            "trailer of 40 KiB", "trailer of 40 KiB in many fields", "chunk extension of 40 KiB",
            "chunk extensions of 40 KiB together",
        ),
        "200 200 go": (
            "head of a field of 40 KB", "head of a name of 40 KB", "head of many fields", "head of 40 KB after a good request",
        ),
        "404 200 go": ("head of a target of 40 KB",),
        "405 200 go": ("head of a method of 40 KB",),
        "open": (
            "trailer without an end", "chunk extension without an end", "head of a field without an end",
            "head of a target without an end", "head of empty lines without an end", "head that arrives slowly",
        ),
    },
}  # fmt: skip
