"""ttrpc frames <-> bytes (containerd/ttrpc PROTOCOL.md). No sockets, no threads.

A reader takes bytes in any pieces and gives whole frames. It holds no more than what has arrived, asks before it grows, and
skips the body of a frame it refuses, so that the next frame is found and the connection lives. A large body can be received right
into its place.
"""

from __future__ import annotations

import contextlib
import mmap
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

#: length of the data, stream id: uint32 big-endian; type, flags: one byte each.
HEADER = struct.Struct(">IIBB")

REQUEST, RESPONSE, DATA = 1, 2, 3
_KINDS = (REQUEST, RESPONSE, DATA)
REMOTE_CLOSED, REMOTE_OPEN, NO_DATA = 1, 2, 4

#: What standard ttrpc allows in a frame; vAccel's fork allows 1 GiB.
STANDARD_MAX_DATA = 4 << 20
VACCEL_MAX_DATA = 1 << 30
#: A body of so many bytes gets memory of its own, which the kernel only gives as it is written to.
_LARGE = 256 << 10
#: From here on the kernel is asked for huge pages (2 MiB): a small part of what is held at most.
_HUGE = 8 << 20
#: The kernel takes at most IOV_MAX pieces in one write.
MOST_PIECES = 512
#: The most that is received at a time, and may be there before the budget was asked.
PIECE = 256 << 10


class ProtocolError(ValueError):
    """The bytes are not ttrpc; where the next frame starts is unknown, so the connection cannot go on."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One whole frame. ``data`` is the reader's own buffer, handed over: nobody else writes to it."""

    stream: int
    type: int
    flags: int
    data: bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class RefusedFrame:
    """A frame whose body was skipped: longer than the limit, or (``too_large`` false) refused by the budget."""

    stream: int
    type: int
    length: int
    too_large: bool


def encode(stream: int, kind: int, flags: int, data: bytes = b"") -> bytes:
    """One frame as bytes."""
    return HEADER.pack(len(data), stream, kind, flags) + data


def header(stream: int, kind: int, flags: int, length: int) -> bytes:
    """The 10 bytes before ``length`` bytes of data that are sent from where they lie."""
    return HEADER.pack(length, stream, kind, flags)


class FrameReader:
    """Turns received bytes into frames.

    ``max_data``: bytes of data a frame may hold. ``reserve(n)`` is asked before ``n`` bytes more are kept and may say no;
    what it granted for a frame is the frame's data length once the frame is given out, and ``held`` bytes until then.
    """

    def __init__(self, max_data: int, reserve: Callable[[int], bool] = lambda _: True) -> None:
        self._max_data = max_data
        self._reserve = reserve
        self._head = bytearray()
        self._body = bytearray()
        self._large: memoryview | None = None
        self._missing = 0
        self._now: tuple[int, int, int, int] | None = None
        self._skipping = False
        self._too_large = False
        self._kept = 0
        self.given_up = 0  # bytes granted for the frame refused last

    @property
    def held(self) -> int:
        """Bytes of an unfinished body that are kept, as granted by ``reserve``."""
        return self._kept

    @property
    def partial(self) -> bool:
        """Whether a frame has begun and not ended."""
        return self._now is not None or bool(self._head)

    def receive(self, data: bytes | memoryview) -> Iterator[Frame | RefusedFrame]:
        """The frames that ``data`` completes, in order. Raises `ProtocolError` at a frame of unknown type."""
        view = memoryview(data)
        while (frame := self._whole(view)) is not None:
            view = view[HEADER.size + len(frame.data) :]
            yield frame
        while view or (self._now is not None and not self._missing):
            view = self._take_header(view) if self._now is None else self._take_body(view)
            if self._now is not None and not self._missing:
                yield self._finish(self._now)

    def place(self) -> memoryview | None:
        """Where the next bytes of a large body belong: who receives them there says so by `placed`. None: `receive` takes them."""
        if self._large is None or self._skipping:
            return None
        return self._large[self._kept : self._kept + min(self._missing, PIECE)]

    def placed(self, count: int) -> Iterator[Frame | RefusedFrame]:
        """``count`` bytes were received into `place`: the frame, if they complete it."""
        self._grant(count)
        self._missing -= count
        if self._now is not None and not self._missing:
            yield self._finish(self._now)

    def _whole(self, view: memoryview) -> Frame | None:
        """The frame at the beginning of ``view``, if nothing came before it, and all of it is there and is kept."""
        if self._now is not None or self._head or len(view) < HEADER.size:
            return None
        length, stream, kind, flags = HEADER.unpack_from(view)
        body = view[HEADER.size : HEADER.size + length]
        if len(body) < length or not length <= self._max_data or kind not in _KINDS or not self._reserve(length):
            return None
        return Frame(stream, kind, flags, bytearray(body))

    def _take_header(self, view: memoryview) -> memoryview:
        need = HEADER.size - len(self._head)
        self._head += view[:need]
        if len(self._head) == HEADER.size:
            length, stream, kind, flags = HEADER.unpack(self._head)
            if kind not in _KINDS:
                raise ProtocolError(f"frame type {kind} on stream {stream}; ttrpc has 1 (request), 2 (response), 3 (data)")
            self._now = (length, stream, kind, flags)
            self._head.clear()
            self._missing = length
            self._too_large = self._skipping = length > self._max_data
            if length >= _LARGE and not self._skipping:
                self._large = _lazy(length)
                self._skipping = self._large is None
        return view[need:]

    def _take_body(self, view: memoryview) -> memoryview:
        part = view[: self._missing]
        at = self._kept
        if self._grant(len(part)):
            if self._large is None:
                self._body += part
            else:
                self._large[at : at + len(part)] = part
        self._missing -= len(part)
        return view[len(part) :]

    def _grant(self, count: int) -> bool:
        """Whether ``count`` bytes more may be kept."""
        if not self._skipping and not self._reserve(count):
            self._skipping = True
        if not self._skipping:
            self._kept += count
        return not self._skipping

    def _finish(self, now: tuple[int, int, int, int]) -> Frame | RefusedFrame:
        length, stream, kind, flags = now
        body: bytearray | memoryview = self._body if self._large is None else self._large
        kept, self._kept = self._kept, 0
        self._body, self._large, self._now = bytearray(), None, None
        if self._skipping:
            self.given_up = kept
            return RefusedFrame(stream, kind, length, self._too_large)
        return Frame(stream, kind, flags, body)


def unsent(pieces: list[memoryview], sent: int) -> list[memoryview]:
    """What is left of ``pieces``, which it takes out of them, after ``sent`` of their bytes."""
    while pieces and sent >= len(pieces[0]):
        sent -= len(pieces.pop(0))
    if sent:
        pieces[0] = pieces[0][sent:]
    return pieces


def _lazy(length: int) -> memoryview | None:
    """Memory that costs nothing until it is written to; None where the kernel has none."""
    try:
        memory = mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except (OSError, ValueError, OverflowError):
        return None
    if length >= _HUGE:
        # Page by page the kernel takes longer to give it than to fill it. It is only a wish: not every kernel has huge pages.
        with contextlib.suppress(OSError):
            memory.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(memory)
