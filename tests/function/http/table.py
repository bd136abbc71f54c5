"""What a row of the table is, and the bytes that rows are made of.

A row sends its steps over a connection of its own, then `NEXT`, another request, without waiting. Its outcome is the status of
each answer, in order, and what became of the connection. ``go``: `NEXT` was answered as well; ``end``: the server closed the
connection without answering it; ``open``: neither happened within the row's time. ``200 400 end`` is a good request, a bad one
after it, and the end. ``200-cut`` is an answer whose body was not properly ended, ``0-cut`` bytes that are not HTTP/1.

`HIDDEN` is a whole request within bytes that one reading of the framing takes for a body and another reading does not. It is
never answered.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum


class Wait(Enum):
    """A step that sends nothing."""

    ANSWER = "until one more answer has come, 100 Continue for one; a second at most"
    HALF_CLOSE = "says that nothing more is sent, and goes on reading"


#: Bytes to send, seconds to wait, or something to wait for.
Step = bytes | float | Wait


@dataclass(frozen=True)
class Row:
    """One exchange.

    ``outcome``: what must be seen; alternatives are separated by `` or ``. ``contains``: what the last answer's head or body
    contains, in letters of either case; ``lacks``: what no answer contains. ``follow``: whether `NEXT` is sent. ``within``: when
    the last byte of the answers may come, in seconds after the connection was made; a server may close a little later, so that
    the client reads its answer and not a reset. ``to_head``: the first answer is one to HEAD: a body would be shown as ``0-cut``.
    """

    name: str
    steps: bytes | tuple[Step, ...]
    outcome: str
    contains: str = ""
    lacks: str = ""
    follow: bool = True
    within: tuple[float, float] = (0.0, 6.0)
    to_head: bool = False

    @property
    def sent(self) -> tuple[Step, ...]:
        """Every step, with the request that follows."""
        steps = (self.steps,) if isinstance(self.steps, bytes) else self.steps
        return (*steps, NEXT) if self.follow else steps


def get(request_id: bytes) -> bytes:
    """A request that every runtime answers with 200 and the id that it was sent."""
    return b"GET / HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\nX-Request-Id: " + request_id + b"\r\n\r\n"


FIRST, HIDDEN, NEXT = get(b"first"), get(b"hidden"), get(b"next")

GET = b"GET / HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n"
LENGTH = b"Content-Length: 12\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
END = b"\r\n"
#: The head of a stream of lines.
LINES = POST.replace(b"text/plain", b"application/x-ndjson") + CHUNKED + END
TEXT = b"good morning"
CHUNKS = b"c\r\n" + TEXT + b"\r\n0\r\n\r\n"
#: What the answer to `TEXT` contains when the whole of it was read.
READ = '"tokens":4'


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def drip(data: bytes, pause: float) -> Iterator[Step]:
    """A byte at a time."""
    for byte in data:
        yield bytes([byte])
        yield pause
