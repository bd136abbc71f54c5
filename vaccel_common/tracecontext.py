"""W3C Trace Context (levels 1 and 2): what of a request's ``traceparent`` and ``tracestate`` is valid. No OpenTelemetry, no I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable

#: Version 00 ends after the flags; a later one may go on behind a dash. Version ff and ids of zeros are invalid. A comma would be a
#: second header, joined.
_TRACEPARENT = re.compile(
    r"(?!ff|00.{54})[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-[!-+\--~]{0,456})?"
)
#: ``key=value``: the key as level 2 has it, of which level 1's are some; up to 256 printable characters, the last not a space.
_MEMBER = re.compile(r"[a-z0-9][a-z0-9_*/@-]{0,255}=[ -+\--<>-~]{0,255}[!-+\--<>-~]")
#: What every participant passes on; more may be dropped.
_MOST_CHARACTERS, _MOST_MEMBERS = 512, 32
#: Names that gRPC takes for metadata whose values are text. What it does not take fails the whole call.
_NAME = re.compile(r"(?!grpc-)[a-z0-9_.-]{1,256}(?<!-bin)")
#: Characters of all values together: gRPC's servers may refuse more than 8 KiB of metadata.
_MOST_METADATA = 4096


def validated(traceparent: str | None, tracestate: str | None) -> dict[str, str]:
    """The two fields as they may be passed on; empty where ``traceparent`` is not valid, without an invalid ``tracestate``."""
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
    if len(state) > _MOST_CHARACTERS or len(members) > _MOST_MEMBERS or len(keys) < len(members):
        return ""
    return state if all(_MEMBER.fullmatch(member) for member in members) else ""


def add(metadata: dict[str, str], name: str, value: str) -> None:
    """Adds a field that HTTP and gRPC can carry: a name in small letters, a value of printable ASCII. Leaves out any other, and
    what would make the whole too large."""
    size = sum(map(len, metadata.values())) + len(value)
    if size <= _MOST_METADATA and value.isascii() and value.isprintable() and _NAME.fullmatch(name):
        metadata[name] = value


def joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Metadata as a mapping; values of the same name are joined by commas in their order, as those of HTTP headers are."""
    values: dict[str, str] = {}
    for name, value in pairs:
        values[name] = f"{values[name]},{value}" if name in values else value
    return values
