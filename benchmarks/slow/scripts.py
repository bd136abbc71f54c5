"""What slow clients send: to every route and with every content type byte by byte, many requests
whose responses are never read, or nothing.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from loadkit.http1 import LAST_CHUNK, chunk, head, post
from loadkit.texts import TEXT

_TEXT = f"{TEXT} " * 10
_ITEM = struct.pack("<I", len(_TEXT)) + _TEXT.encode()
_EVENT = {"specversion": "1.0", "id": "e-1", "source": "/benchmark", "type": "text"}
_LINES = "application/x-ndjson"
_INFER = "/v2/models/tweets/infer"


@dataclass(frozen=True)
class Script:
    """One kind of client: it sends ``first`` at once and ``rest`` byte by byte; or ``first`` and
    then ``over_and_over``, and never reads.
    """

    name: str
    first: bytes
    rest: bytes = b""
    over_and_over: bytes = b""


def dripping() -> list[Script]:
    """A byte a second: each way in, with a length and in chunks; for each route also from the first
    byte of the head.
    """
    bodies = [_whole(way, chunked=chunked) for way in ways() for chunked in (False, True)]
    heads = [_whole(way, chunked=False) for way in ways() if way.name in _SLOW_HEADS]
    return [*bodies, *(Script(f"{script.name}, from its first byte", b"", script.first + script.rest) for script in heads)]


def deaf() -> list[Script]:
    """Requests with large responses that cost the model nothing and are never read: pipelined, and
    as a stream of lines.
    """
    get = head("GET", "/openapi.json", {})
    errors = json.dumps({"texts": [""] * 128, "errors": "item"}).encode()
    refused = post("/classify", errors)
    lines = head("POST", "/classify", {"Content-Type": _LINES, "Transfer-Encoding": "chunked"})
    return [
        Script("pipelined GET /openapi.json", get, over_and_over=get * 20),
        Script("pipelined POST /classify, 128 texts", refused, over_and_over=refused * 2),
        Script("a stream of lines", lines, over_and_over=chunk(b"{}\n" * 200)),
    ]


def idle() -> list[Script]:
    """Connections on which nothing is sent."""
    return [Script("idle", b"")]


def begun() -> list[Script]:
    """Connections on which a request begins and never continues."""
    return [Script("incomplete head", b"POST /clas")]


@dataclass(frozen=True)
class Way:
    """One way in: a route, headers and a body."""

    name: str
    path: str
    headers: dict[str, str]
    body: bytes


def ways() -> Sequence[Way]:
    """Every route that takes a body, and every content type."""
    tensor = {"name": "text", "datatype": "BYTES", "shape": [1]}
    infer = json.dumps({"inputs": [{**tensor, "data": [_TEXT]}]}).encode()
    binary = json.dumps({"inputs": [{**tensor, "parameters": {"binary_data_size": len(_ITEM)}}]}).encode()
    text = json.dumps({"text": _TEXT}).encode()
    events = {f"Ce-{name}": value for name, value in _EVENT.items()}
    form = "multipart/form-data; boundary=b"
    parts = f'--b\r\nContent-Disposition: form-data; name="text"\r\n\r\n{_TEXT}\r\n--b--\r\n'.encode()
    return (
        Way("JSON", "/classify", {"Content-Type": "application/json"}, text),
        Way("plain text", "/classify", {"Content-Type": "text/plain"}, _TEXT.encode()),
        Way(
            "form", "/classify", {"Content-Type": "application/x-www-form-urlencoded"}, f"text={_TEXT}".replace(" ", "+").encode()
        ),
        # Not supported; the body is gathered like any other before it is refused.
        Way("multipart", "/classify", {"Content-Type": form}, parts),
        Way("lines", "/classify", {"Content-Type": _LINES}, text + b"\n"),
        # Each line is complete within READ_TIMEOUT_S, so the stream continues, with an error for
        # each line.
        Way("short lines", "/classify", {"Content-Type": _LINES}, b"{}\n" * 100),
        Way("event, binary", "/", {"Content-Type": "application/json", **events}, text),
        Way("event, structured", "/", {"Content-Type": "application/cloudevents+json"}, _structured()),
        Way("inference, JSON", _INFER, {"Content-Type": "application/json"}, infer),
        Way("inference, binary", _INFER, {"Inference-Header-Content-Length": str(len(binary))}, binary + _ITEM),
    )


#: The ways whose heads are also sent byte by byte: one for each route.
_SLOW_HEADS = ("JSON", "lines", "event, binary", "inference, binary")


def _structured() -> bytes:
    return json.dumps({**_EVENT, "datacontenttype": "application/json", "data": {"text": _TEXT}}).encode()


def _whole(way: Way, *, chunked: bool) -> Script:
    framing = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": str(len(way.body))}
    body = chunk(way.body) + LAST_CHUNK if chunked else way.body
    # The connection ends with the response, however much the client has sent; the client then
    # connects again.
    first = head("POST", way.path, {**way.headers, **framing, "Connection": "close"})
    return Script(f"{way.name}, {'chunked' if chunked else 'length'}", first, body)
