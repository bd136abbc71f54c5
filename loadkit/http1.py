"""HTTP/1.1 requests as bytes, for clients that write to the socket themselves."""

from __future__ import annotations

from collections.abc import Mapping

#: Ends a chunked body.
LAST_CHUNK = b"0\r\n\r\n"


def head(method: str, path: str, headers: Mapping[str, str]) -> bytes:
    """The request line and the headers, with a ``Host`` and the empty line that ends them."""
    lines = [f"{method} {path} HTTP/1.1", "Host: loadkit", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode()


def post(path: str, body: bytes, content_type: str = "application/json", **headers: str) -> bytes:
    """A whole POST request with a ``Content-Length``."""
    framing = {"Content-Type": content_type, "Content-Length": str(len(body))}
    return head("POST", path, {**framing, **headers}) + body


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)
