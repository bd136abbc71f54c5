"""Requests in parts, which are mutated part by part and byte by byte; the same seed and number give
the same bytes.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.httpfuzz import pools

_CLASSIFIED, _BYTEWISE, _CUT_OFF = 0.04, 0.2, 0.03
_MUTATIONS = (0, 1, 1, 1, 1, 2, 2, 3)


@dataclass(frozen=True, slots=True)
class FuzzCase:
    """The bytes of one request; ``ends``: they are truncated and the client ends its side after
    them.
    """

    number: int
    data: bytes
    ends: bool = False


@dataclass(slots=True)
class Draft:
    """A request's parts. ``headers``: name, separator, value, line end.

    ``chunks``: size, extension, line end, data, line end.
    """

    number: int
    method: bytes
    target: bytes
    body: bytes
    gaps: list[bytes] = field(default_factory=lambda: [b" ", b" "])
    version: bytes = b"HTTP/1.1"
    end: bytes = b"\r\n"
    headers: list[list[bytes]] = field(default_factory=list)
    head_end: bytes = b"\r\n"
    chunks: list[list[bytes]] | None = None
    last: list[bytes] = field(default_factory=lambda: [b"0", b"\r\n", b"", b"\r\n"])

    def add(self, name: bytes, value: bytes) -> None:
        """Adds a header."""
        self.headers.append([name, b": ", value, b"\r\n"])

    def drop(self, name: bytes) -> None:
        """Removes every header with this name."""
        self.headers = [header for header in self.headers if header[0] != name]

    def render(self) -> bytes:
        """The request as bytes."""
        line = self.method + self.gaps[0] + self.target + self.gaps[1] + self.version + self.end
        head = line + b"".join(map(b"".join, self.headers)) + self.head_end
        if self.chunks is None:
            return head + self.body
        return head + b"".join(map(b"".join, self.chunks)) + b"".join(self.last)


def case(seed: int, number: int) -> FuzzCase:
    """A request, usually mutated."""
    chance = random.Random(seed << 40 | number)
    draft = valid(chance, number)
    for _ in range(chance.choice(_MUTATIONS)):
        chance.choice(MUTATIONS)(draft, chance)
    data = draft.render()
    if chance.random() < _BYTEWISE:
        data = _bytewise(data, chance)
    ends = chance.random() < _CUT_OFF
    return FuzzCase(number, data[: chance.randrange(1, len(data) + 1)] if ends else data, ends)


def valid(chance: random.Random, number: int) -> Draft:
    """A request that every server has to accept."""
    classified = chance.random() < _CLASSIFIED
    method, target, kind, body = chance.choice(pools.CLASSIFIED if classified else pools.VALID)
    draft = Draft(number, method, target, body)
    draft.add(b"Host", b"example.com")
    draft.add(b"X-Request-Id", b"case-%d" % number)
    if kind:
        draft.add(b"Content-Type", kind)
    if body and chance.random() < 0.4:
        _chunk(draft, chance)
    elif body:
        draft.add(b"Content-Length", b"%d" % len(body))
    return draft


def hidden(number: int) -> bytes:
    """A request in the body of another one, to which the server must not respond."""
    return b"GET /health/liveness HTTP/1.1\r\nHost: x\r\nX-Request-Id: hidden-%d\r\n\r\n" % number


def _chunk(draft: Draft, chance: random.Random) -> None:
    draft.drop(b"Content-Length")
    draft.add(b"Transfer-Encoding", b"chunked")
    cut = chance.randrange(len(draft.body) + 1)
    parts = [part for part in (draft.body[:cut], draft.body[cut:]) if part]
    draft.chunks = [[b"%x" % len(part), b"", b"\r\n", part, b"\r\n"] for part in parts]


def _bytewise(data: bytes, chance: random.Random) -> bytes:
    """Flips, inserts, removes or repeats some bytes."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        at = chance.randrange(len(changed) + 1)
        upto = at + chance.choice((1, 1, 2, 8, 40))
        kind = chance.randrange(4)
        if kind == 0 and at < len(changed):
            changed[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            changed[at:at] = chance.choice((b"\r", b"\n", b"\r\n", b" ", b"\t", b"\x00", b":", b",", b"0", b"\xff", b"\x7f"))
        elif kind == 2:
            del changed[at:upto]
        else:
            changed[at:at] = changed[at:upto]
    return bytes(changed) or b"\r"


def _method(draft: Draft, chance: random.Random) -> None:
    draft.method = chance.choice(pools.METHODS)


def _gap(draft: Draft, chance: random.Random) -> None:
    draft.gaps[chance.randrange(2)] = chance.choice(pools.GAPS)


def _target(draft: Draft, chance: random.Random) -> None:
    draft.target = chance.choice(pools.TARGETS)


def _version(draft: Draft, chance: random.Random) -> None:
    draft.version = chance.choice(pools.VERSIONS)


def _line_end(draft: Draft, chance: random.Random) -> None:
    end, where = chance.choice(pools.LINE_ENDS), chance.randrange(4)
    if where == 0:
        draft.end = end
    elif where == 1:
        draft.head_end = end
    elif draft.headers:
        chance.choice(draft.headers)[3] = end


def _bad_header(draft: Draft, chance: random.Random) -> None:
    """A meaningless header with one invalid part, at any place."""
    header = [b"X-Any", b": ", b"1", b"\r\n"]
    part = chance.randrange(3)
    header[part] = chance.choice((pools.NAMES, pools.SEPARATORS, pools.VALUES)[part])
    draft.headers.insert(chance.randrange(len(draft.headers) + 1), header)


def _bad_part(draft: Draft, chance: random.Random) -> None:
    """Replaces or extends one part of an existing header."""
    if draft.headers:
        header, part = chance.choice(draft.headers), chance.randrange(1, 3)
        header[part] = chance.choice(pools.SEPARATORS) if part == 1 else header[2] + chance.choice(pools.VALUES)


def _read_header(draft: Draft, chance: random.Random) -> None:
    """A header that servers or applications interpret."""
    name, values = chance.choice(pools.READ)
    if chance.random() < 0.5:
        draft.drop(name)
    draft.add(name, chance.choice(values))


def _upgrade(draft: Draft, chance: random.Random) -> None:
    draft.add(b"Connection", chance.choice((b"upgrade", b"Upgrade, HTTP2-Settings", b"keep-alive, Upgrade")))
    draft.add(b"Upgrade", chance.choice((b"h2c", b"websocket", b"x")))


def _repeated(draft: Draft, chance: random.Random) -> None:
    if draft.headers:
        draft.headers.insert(chance.randrange(len(draft.headers) + 1), list(chance.choice(draft.headers)))


def _shuffled(draft: Draft, chance: random.Random) -> None:
    chance.shuffle(draft.headers)


def _host(draft: Draft, chance: random.Random) -> None:
    kind = chance.randrange(4)
    if kind != 1:
        draft.drop(b"Host")
    if kind:
        draft.add(b"Host", chance.choice((*pools.HOSTS, b"example.com")))


def _length(draft: Draft, chance: random.Random) -> None:
    """An invalid length instead of the right one, or besides it."""
    text, size = chance.choice(pools.LENGTHS), len(draft.body)
    if chance.random() < 0.7:
        draft.drop(b"Content-Length")
    draft.add(b"Content-Length", text.replace(b"%d", b"%d" % size))
    if chance.random() < 0.2:
        draft.add(b"Content-Length", b"%d" % size)


def _coding(draft: Draft, chance: random.Random) -> None:
    """An invalid transfer coding, or a valid one with other framing."""
    if draft.chunks is None and chance.random() < 0.6:
        _chunk(draft, chance)
    kind = chance.randrange(4)
    if kind == 0:
        draft.add(b"Content-Length", b"%d" % chance.choice((0, 1, 5, len(draft.body))))
    elif kind == 1:
        draft.version = b"HTTP/1.0"
    else:
        if kind == 2:
            draft.drop(b"Transfer-Encoding")
        draft.add(chance.choice((b"Transfer-Encoding", b"transfer-encoding", b"Transfer-encoding")), chance.choice(pools.CODINGS))


def _chunks(draft: Draft, chance: random.Random) -> None:
    """An invalid part of a chunked body."""
    if not draft.chunks:
        draft.body = draft.body or b"body"
        _chunk(draft, chance)
    chunk, part = chance.choice(draft.chunks or [[b""] * 5]), chance.randrange(6)
    if part == 0:
        chunk[0] = chance.choice(pools.SIZES).replace(b"%x", b"%x" % len(chunk[3]))
    elif part == 1:
        chunk[1] = chance.choice(pools.EXTENSIONS)
    elif part == 2:
        chunk[chance.choice((2, 4))] = chance.choice(pools.CHUNK_ENDS)
    elif part == 3:
        draft.last[chance.choice((0, 0, 1, 3))] = chance.choice(pools.LAST_CHUNKS)
    else:
        draft.last[2] += chance.choice(pools.TRAILERS)


def _body(draft: Draft, chance: random.Random) -> None:
    """Another body, with valid framing."""
    draft.body = chance.choice(pools.BODIES)
    _frame(draft, chance)


def _hide(draft: Draft, chance: random.Random) -> None:
    """A request in the body, with valid framing."""
    draft.body = chance.choice((b"", b"0\r\n\r\n", b"\r\n", draft.body)) + hidden(draft.number)
    _frame(draft, chance)


def _frame(draft: Draft, chance: random.Random) -> None:
    draft.drop(b"Transfer-Encoding")
    draft.drop(b"Content-Length")
    draft.chunks = None
    if chance.random() < 0.3:
        _chunk(draft, chance)
    else:
        draft.add(b"Content-Length", b"%d" % len(draft.body))


MUTATIONS: tuple[Callable[[Draft, random.Random], None], ...] = (
    *(_method, _gap, _target, _version, _line_end, _bad_header, _bad_header, _bad_part, _read_header, _read_header, _upgrade),
    *(_repeated, _shuffled, _host, _length, _length, _coding, _coding, _chunks, _chunks, _body, _hide, _hide),
)
