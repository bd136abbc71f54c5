"""Encodes and decodes ttrpc frames (containerd/ttrpc PROTOCOL.md). No sockets, no threads.

A reader takes bytes in pieces of any size and returns complete frames. It holds no more than what
has arrived, reserves memory before it grows, and skips the body of a frame that it refuses, so that
the connection can go on with the next one. A large body can be received directly into its buffer.
"""

from __future__ import annotations

import contextlib
import mmap
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from vaccel_common.records import record

#: Length of the data and stream id: uint32, big-endian; type and flags: one byte each.
HEADER = struct.Struct(">IIBB")

REQUEST, RESPONSE, DATA = 1, 2, 3
_KINDS = (REQUEST, RESPONSE, DATA)
REMOTE_CLOSED, REMOTE_OPEN, NO_DATA = 1, 2, 4

#: Bytes of data in a frame: standard ttrpc's limit, and the limit of vAccel's fork.
STANDARD_MAX_DATA = 4 << 20
VACCEL_MAX_DATA = 1 << 30
#: A body of at least so many bytes gets a mapping of its own, whose pages the kernel allocates as
#: they are written.
_LARGE = 256 << 10
#: From this size on, huge pages (2 MiB) are requested: what a page wastes is a small part of it.
_HUGE = 8 << 20
#: No TCP segment has more bytes.
_SEGMENT = 64 << 10
#: Pieces of one write; Linux accepts at most 1024 (IOV_MAX).
MAX_PIECES = 512
#: Bytes that are received at a time, at most; so many may be held before they are reserved.
PIECE = 256 << 10


class ProtocolError(ValueError):
    """The bytes are not ttrpc.

    It is unknown where the next frame starts: the connection must end.
    """


@record
class Frame:
    """One complete frame. ``data``: the reader's buffer, which nobody else writes to."""

    stream: int
    type: int
    flags: int
    data: bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class RefusedFrame:
    """A frame whose body was skipped.

    It was longer than the limit (``too_large``), or its memory could not be reserved.
    """

    stream: int
    type: int
    length: int
    too_large: bool


def encode(stream: int, kind: int, flags: int, data: bytes = b"") -> bytes:
    """One frame as bytes."""
    return HEADER.pack(len(data), stream, kind, flags) + data


def header(stream: int, kind: int, flags: int, length: int) -> bytes:
    """The 10 bytes of a frame's header, for data that is sent without a copy."""
    return HEADER.pack(length, stream, kind, flags)


class FrameReader:
    """Turns received bytes into frames.

    ``max_data``: bytes of data that a frame may have. ``reserve(n)`` is called before ``n`` more
    bytes are kept, and may return False. For an unfinished frame ``held`` bytes are reserved; for a
    frame that was returned, the length of its data.
    """

    def __init__(self, max_data: int, reserve: Callable[[int], bool] = lambda _: True) -> None:
        self._max_data = max_data
        self._reserve = reserve
        self._head = bytearray()
        self._body = bytearray()
        self._large: memoryview | None = None
        self._missing = 0
        self._header: tuple[int, int, int, int] | None = None
        self._skipping = False
        self._too_large = False
        self._kept = 0
        #: Bytes that were reserved for the last refused frame.
        self.given_up = 0

    @property
    def held(self) -> int:
        """Reserved bytes of an unfinished body."""
        return self._kept

    @property
    def partial(self) -> bool:
        """Whether a frame is incomplete."""
        return self._header is not None or bool(self._head)

    @property
    def few_missing(self) -> bool:
        """Whether a frame is incomplete and lacks less than the largest TCP segment.

        With Nagle's algorithm a sender holds so little back until all before it is acknowledged.
        """
        return bool(self._head) if self._header is None else self._missing < _SEGMENT

    def receive(self, data: bytes | memoryview) -> Iterator[Frame | RefusedFrame]:
        """The frames that ``data`` completes, in order.

        Raises `ProtocolError` at a frame of unknown type.
        """
        view = memoryview(data)
        while (frame := self._complete_frame(view)) is not None:
            view = view[HEADER.size + len(frame.data) :]
            yield frame
        while view or (self._header is not None and not self._missing):
            view = self._take_header(view) if self._header is None else self._take_body(view)
            if self._header is not None and not self._missing:
                yield self._finish(self._header)

    def place(self) -> memoryview | None:
        """The buffer for the next bytes of a large body, to be received there and passed to
        `placed`.

        None: the next bytes are to be passed to `receive`.
        """
        if self._large is None or self._skipping:
            return None
        return self._large[self._kept : self._kept + min(self._missing, PIECE)]

    def placed(self, count: int) -> Iterator[Frame | RefusedFrame]:
        """The frame, if the ``count`` bytes that were received into `place` complete it."""
        self._keep(count)
        self._missing -= count
        if self._header is not None and not self._missing:
            yield self._finish(self._header)

    def _complete_frame(self, view: memoryview) -> Frame | None:
        """The frame at the beginning of ``view``, if it is complete and accepted, and no other is
        unfinished.
        """
        if self._header is not None or self._head or len(view) < HEADER.size:
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
            self._header = (length, stream, kind, flags)
            self._head.clear()
            self._missing = length
            self._too_large = self._skipping = length > self._max_data
            if length >= _LARGE and not self._skipping:
                self._large = _mapping(length)
                self._skipping = self._large is None
        return view[need:]

    def _take_body(self, view: memoryview) -> memoryview:
        part = view[: self._missing]
        start = self._kept
        if self._keep(len(part)):
            if self._large is None:
                self._body += part
            else:
                self._large[start : start + len(part)] = part
        self._missing -= len(part)
        return view[len(part) :]

    def _keep(self, count: int) -> bool:
        """Reserves ``count`` more bytes; whether they are kept."""
        if not self._skipping and not self._reserve(count):
            self._skipping = True
        if not self._skipping:
            self._kept += count
        return not self._skipping

    def _finish(self, header: tuple[int, int, int, int]) -> Frame | RefusedFrame:
        length, stream, kind, flags = header
        body: bytearray | memoryview = self._body if self._large is None else self._large
        kept, self._kept = self._kept, 0
        self._body, self._large, self._header = bytearray(), None, None
        if self._skipping:
            self.given_up = kept
            return RefusedFrame(stream, kind, length, self._too_large)
        return Frame(stream, kind, flags, body)


def unsent(pieces: list[memoryview], sent: int) -> list[memoryview]:
    """Removes the first ``sent`` bytes from ``pieces``, in place; returns ``pieces``."""
    while pieces and sent >= len(pieces[0]):
        sent -= len(pieces.pop(0))
    if sent:
        pieces[0] = pieces[0][sent:]
    return pieces


def _mapping(length: int) -> memoryview | None:
    """A mapping whose pages are allocated when they are written; None where memory ran out."""
    try:
        memory = mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except (OSError, ValueError, OverflowError):
        return None
    if length >= _HUGE:
        # To allocate small pages takes the kernel longer than to fill them. Not every kernel has
        # huge pages.
        with contextlib.suppress(OSError):
            memory.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(memory)
