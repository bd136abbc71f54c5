"""Log lines as the deployment guide shows them, or one JSON object a line; on standard error.

Messages, fields and exceptions may contain what a client sent. None of it begins a line, ends one, or reaches a terminal as a
control character: text escapes what is not printable, fields are quoted, and JSON is ASCII.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Literal

from vaccel_common.kinds import Choice

Format = Literal["text", "json"]
Level = Literal["debug", "info", "warn", "error"]
FORMAT: Choice[Format] = Choice(("text", "json"))
LEVEL: Choice[Level] = Choice(("debug", "info", "warn", "error"))

_json = json.JSONEncoder(default=str).encode
_LEVELS = {"WARNING": "WARN", "CRITICAL": "ERROR"}
#: A field's value that needs no quotes: printable ASCII without space, quote, backslash and equals sign.
_BARE = re.compile(r"[!#-<>-\[\]-~]+")

#: Fields for every line that is logged from here on in this context (thread or task): a request's ``trace_id`` and ``span_id``.
context: ContextVar[Mapping[str, str]] = ContextVar("log_context", default={})  # noqa: B039 nobody writes into it


def escaped(text: str) -> str:
    """``text`` with every character that is not printable (controls, line and bidi marks, unpaired surrogates) as a Python escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def fields(values: Mapping[str, Any]) -> str:
    """``name=value`` pairs as logfmt has them, in ASCII; a value with a space, quote, ``=`` or anything unusual is a JSON string."""
    return " ".join(f"{name}={_value(value)}" for name, value in values.items())


def _value(value: Any) -> str:
    if type(value) in (int, float):
        return repr(value)
    text = value if isinstance(value, str) else _json(value)
    return text if _BARE.fullmatch(text) else _json(text)


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        level = _LEVELS.get(record.levelname, record.levelname)
        parts = _parts(record)
        message = fields(parts) if parts else escaped(record.getMessage())
        if ids := {name: value for name, value in context.get().items() if name not in parts}:
            message += " " + fields(ids)
        # Indented, so that no line of an exception's message is taken for one of the log's.
        lines = [f"\n    {escaped(line)}" for line in _exception(self, record).split("\n") if line]
        return f"[{_time(record)} {level:<5} {record.name}] {message}" + "".join(lines)


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        level = _LEVELS.get(record.levelname, record.levelname).lower()
        line = {"time": _time(record), "level": level, "target": record.name}
        parts = _parts(record) or {"message": record.getMessage()}
        if exception := _exception(self, record):
            parts = {**parts, "exception": exception}
        return _json({**line, **context.get(), **parts, **line})


def _parts(record: logging.LogRecord) -> Mapping[str, Any]:
    # A record may bring its parts: they are worth more to a program than a sentence made of them.
    return getattr(record, "fields", None) or {}


def _time(record: logging.LogRecord) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))


def _exception(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    """The record's traceback and stack; empty where it has none."""
    parts = [formatter.formatException(record.exc_info)] if record.exc_info else []
    if record.stack_info:
        parts.append(record.stack_info)
    return "\n".join(parts)


def configure(kind: Format, level: Level, file: str | None = None) -> None:
    """Sends everything at ``level`` (debug, info, warn, error) and above to standard error, or ``file``."""
    handler = logging.FileHandler(file, encoding="utf-8") if file else logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Text() if kind == "text" else _Json())
    logging.basicConfig(level={"warn": "WARNING"}.get(level, level.upper()), handlers=[handler], force=True)
    logging.getLogger("asyncio").setLevel("WARNING")
