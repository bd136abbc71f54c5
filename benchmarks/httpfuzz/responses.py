"""Parses what a server sent, strictly: bytes that are not a valid response are a failure of their
own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d) [^\r\n]*")
_ID = re.compile(rb"\r\nx-request-id:[ \t]*([^\r\n]*?)[ \t]*(?=\r\n|$)", re.IGNORECASE)
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)[ \t]*(?=\r\n|$)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked[ \t]*(?=\r\n|$)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection:[^\r\n]*\bclose\b", re.IGNORECASE)
_CHUNK = re.compile(rb"([0-9a-fA-F]+)\r\n")


class Garbled(Exception):
    """The bytes are not an HTTP response."""


@dataclass(frozen=True, slots=True)
class ParsedResponse:
    """A response; ``complete``: whether its body is; ``closes``: it announces the end of the
    connection.
    """

    status: int
    id: bytes
    closes: bool
    chunked: bool
    complete: bool


def read(data: bytes, methods: Sequence[bytes]) -> list[ParsedResponse]:
    """The final responses to requests with these methods. The last one may be incomplete.

    Raises `Garbled`.
    """
    responses: list[ParsedResponse] = []
    while data:
        end = data.find(b"\r\n\r\n")
        head = data[: end if end >= 0 else len(data)]
        if end < 0 and len(head) < 16 and not _CLOSE.search(head):
            break
        status = _STATUS.match(head)
        if not status:
            if responses and responses[-1].closes:
                break  # The body of a refusal of a method whose responses have none.
            raise Garbled(f"not a response: {data[:80]!r}")
        if end < 0:
            break
        code = int(status[1])
        data = data[end + 4 :]
        if code < 200:
            continue
        method = methods[len(responses)] if len(responses) < len(methods) else b"GET"
        response, data = _answer(code, head, data, bodiless=method == b"HEAD" or code in (204, 304))
        responses.append(response)
    return responses


def _answer(code: int, head: bytes, data: bytes, *, bodiless: bool) -> tuple[ParsedResponse, bytes]:
    """A response and the bytes after it."""
    ids, closes, chunked = _ID.findall(head), bool(_CLOSE.search(head)), bool(_CHUNKED.search(head))
    if len(ids) > 1:
        raise Garbled(f"several X-Request-Id: {ids}")
    if bodiless:
        size = 0
    elif chunked:
        size = _chunks(data)
    else:
        length = _LENGTH.search(head)
        if not length:
            raise Garbled(f"a response of unknown length: {head[:80]!r}")
        size = int(length[1])
    complete = 0 <= size <= len(data)
    return ParsedResponse(code, ids[0] if ids else b"", closes, chunked, complete), data[size:] if complete else b""


def _chunks(data: bytes) -> int:
    """The length of a chunked body; -1 where it is incomplete."""
    at = 0
    while chunk := _CHUNK.match(data, at):
        at = chunk.end() + int(chunk[1], 16) + 2
        if at > len(data):
            return -1
        if data[at - 2 : at] != b"\r\n":
            raise Garbled(f"a chunk without its end: {data[at - 20 : at + 10]!r}")
        if int(chunk[1], 16) == 0:
            return at
    if len(data) > at + 20:
        raise Garbled(f"not a chunk: {data[at : at + 40]!r}")
    return -1
