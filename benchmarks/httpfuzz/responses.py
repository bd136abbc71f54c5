"""What a server sent, as answers. Strict: bytes that are not a valid answer are a failure of their own."""

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
    """The bytes are not an HTTP answer."""


@dataclass(frozen=True, slots=True)
class ParsedResponse:
    """``whole``: its body's end is there. ``closes``: it says that the connection ends."""

    status: int
    id: bytes
    closes: bool
    chunked: bool
    whole: bool


def read(data: bytes, methods: Sequence[bytes]) -> list[ParsedResponse]:
    """The answers to requests of these methods, interim ones left out. The last may not be whole. Raises `Garbled`."""
    answers: list[ParsedResponse] = []
    while data:
        end = data.find(b"\r\n\r\n")
        head = data[: end if end >= 0 else len(data)]
        if end < 0 and len(head) < 16 and not _CLOSE.search(head):
            break
        status = _STATUS.match(head)
        if not status:
            if answers and answers[-1].closes:
                break  # The body of a refusal, behind a method that should have none.
            raise Garbled(f"not an answer: {data[:80]!r}")
        if end < 0:
            break
        code = int(status[1])
        data = data[end + 4 :]
        if code < 200:
            continue
        method = methods[len(answers)] if len(answers) < len(methods) else b"GET"
        answer, data = _answer(code, head, data, bodiless=method == b"HEAD" or code in (204, 304))
        answers.append(answer)
    return answers


def _answer(code: int, head: bytes, data: bytes, *, bodiless: bool) -> tuple[ParsedResponse, bytes]:
    """An answer and the bytes behind it."""
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
            raise Garbled(f"an answer of unknown length: {head[:80]!r}")
        size = int(length[1])
    whole = 0 <= size <= len(data)
    return ParsedResponse(code, ids[0] if ids else b"", closes, chunked, whole), data[size:] if whole else b""


def _chunks(data: bytes) -> int:
    """The length of a chunked body; -1: its end is not there."""
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
