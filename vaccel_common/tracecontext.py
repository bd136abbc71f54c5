"""W3C Trace Context (levels 1 and 2): validates ``traceparent`` and ``tracestate``.

No OpenTelemetry, no I/O.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

#: Version 00 ends after the flags; a later one may continue after a dash. Version ff and ids of
#: zeros are invalid. A comma is invalid: it separates joined headers.
_TRACEPARENT = re.compile(
    r"(?!ff|00.{54})[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-[!-+\--~]{0,456})?"
)
#: ``key=value``: the key by level 2, which includes level 1's; up to 256 printable characters, of
#: which the last is not a space.
_MEMBER = re.compile(r"[a-z0-9][a-z0-9_*/@-]{0,255}=[ -+\--<>-~]{0,255}[!-+\--<>-~]")
#: What every participant must pass on; more may be dropped.
_MAX_CHARACTERS, _MAX_MEMBERS = 512, 32
#: Names that gRPC accepts for metadata with text values. Any other name would fail the call.
_NAME = re.compile(r"(?!grpc-)[a-z0-9_.-]{1,256}(?<!-bin)")
#: Characters of all values together: gRPC servers may refuse more than 8 KiB of metadata.
_MAX_METADATA = 4096


def validated(traceparent: str | None, tracestate: str | None) -> dict[str, str]:
    """The valid ones of the two fields; empty where ``traceparent`` is invalid."""
    if not traceparent:
        return {}
    parent = traceparent.strip(" \t")
    if not _TRACEPARENT.fullmatch(parent):
        return {}
    state = _state(tracestate) if tracestate else ""
    return {"traceparent": parent, "tracestate": state} if state else {"traceparent": parent}


def _state(text: str) -> str:
    members = [member for part in text.split(",") if (member := part.strip(" \t"))]
    keys = {member.partition("=")[0] for member in members}
    state = ",".join(members)
    if len(state) > _MAX_CHARACTERS or len(members) > _MAX_MEMBERS or len(keys) < len(members):
        return ""
    return state if all(_MEMBER.fullmatch(member) for member in members) else ""


def add(metadata: dict[str, str], name: str, value: str) -> None:
    """Adds a field, unless HTTP or gRPC could not carry it or the metadata would be too large.

    A valid field has a lower-case name and a value of printable ASCII.
    """
    size = sum(map(len, metadata.values())) + len(value)
    if size <= _MAX_METADATA and value.isascii() and value.isprintable() and _NAME.fullmatch(name):
        metadata[name] = value


def joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Metadata as a mapping. Values of the same name are joined by commas, as in HTTP headers."""
    values: dict[str, str] = {}
    for name, value in pairs:
        values[name] = f"{values[name]},{value}" if name in values else value
    return values
