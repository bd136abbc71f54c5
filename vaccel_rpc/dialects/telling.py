"""Tells the dialect of a message whose service and method two dialects share.

Upstream renumbered fields between its releases without renaming services: the same number holds a
number in one dialect and bytes or text in the other, which have different wire types. Fields that
are zero or empty are not on the wire, so a message need not tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from vaccel_common.protowire import BYTES, VARINT, fields
from vaccel_rpc.dialects import Version
from vaccel_rpc.errors import InvalidArgument

#: Which of two dialects a client was found to speak.
SpokenVersions = dict[tuple[Version, Version], Version]

#: Fields of a message that are looked at. A message of a client tells by its first few; without a
#: limit, one of millions of fields would keep an agent busy.
_MOST = 1024


@dataclass(frozen=True)
class Distinction:
    """How messages of one kind tell their dialect.

    ``versions``: the two dialects; the first is that of a release, and the one of a message that
    tells nothing. ``containers``: numbers of the repeated fields whose messages differ. ``signs``:
    number and wire type of a field in them -> its dialect. ``needed``: whether a message in
    ``containers`` that is not empty must tell.
    """

    versions: tuple[Version, Version]
    containers: frozenset[int]
    signs: Mapping[tuple[int, int], Version]
    needed: bool

    def told(self, message: bytes | bytearray | memoryview, known: Version | None = None) -> Version | None:
        """The dialect of ``message``; None where nothing tells it and it does not matter.

        ``known``: what an earlier message of the same connection told. Raises `InvalidArgument`
        where the message contradicts itself or ``known``, or where nothing tells its dialect and it
        matters, and `vaccel_common.protowire.WireError` where it is not a valid message.
        """
        told, unclear = known, False
        for version in self._versions_of(memoryview(message)):
            if version is None:
                unclear = self.needed
            elif told is None:
                told = version
            elif version != told:
                whose = "this connection" if told == known else "the same message"
                raise InvalidArgument(f"a field as in dialect {version}, where {whose} speaks {told}")
        if told is None and unclear:
            raise InvalidArgument(f"the dialect cannot be told; tried {' and '.join(self.versions)}")
        return told

    def _versions_of(self, message: memoryview) -> Iterator[Version | None]:
        """The dialect of each field that tells; None for a message without such a field."""
        left = _MOST
        for number, kind, _, start, end in islice(fields(message), _MOST):
            if number not in self.containers or kind != BYTES or start == end:
                continue
            tells = False
            for inner, inner_kind, *_ in islice(fields(message[start:end]), left):
                left -= 1
                if version := self.signs.get((inner, inner_kind)):
                    tells = True
                    yield version
            if not tells:
                yield None


#: Uploaded files of ``vaccel.AgentService``: File {name = 1, path = 2, path_owned = 3, data = 4,
#: size = 5} in 0.7, Blob {type_ = 1, name = 2, data = 3, size = 4} in 2025-07.
_FILE_OR_BLOB = Distinction(
    versions=("0.7", "2025-07"),
    containers=frozenset({2}),
    signs={
        (1, BYTES): "0.7",
        (1, VARINT): "2025-07",
        (3, VARINT): "0.7",
        (3, BYTES): "2025-07",
        (4, BYTES): "0.7",
        (4, VARINT): "2025-07",
    },
    needed=True,
)
#: Arguments of 0.8's services: Arg {buf = 1, size = 2, arg_type = 3, ...} in 0.8, {argtype = 1,
#: size = 2, buf = 3, ...} in 2025-08. Without bytes and type they are the same.
_ARG = Distinction(
    versions=("0.8", "2025-08"),
    containers=frozenset({2, 3}),
    signs={(1, BYTES): "0.8", (1, VARINT): "2025-08", (3, VARINT): "0.8", (3, BYTES): "2025-08"},
    needed=False,
)
#: By operation, where two dialects share service and method but not the message.
DISTINCTIONS: Mapping[str, Distinction] = {"register": _FILE_OR_BLOB, "genop": _ARG, "genop_stream": _ARG}
