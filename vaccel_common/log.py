"""Logs to standard error: text as in the deployment guide, or one JSON object on each line.

Messages, fields and exceptions may contain a client's input. It cannot begin or end a line, nor
reach a terminal as a control character: text escapes characters that are not printable, fields are
quoted, and JSON is ASCII.
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
#: A field's value that needs no quotes: printable ASCII without spaces, quotes, backslashes and
#: equals signs.
_BARE = re.compile(r"[!#-<>-\[\]-~]+")

#: Fields of every line that is logged in this context (thread or task): ``trace_id``, ``span_id``.
context: ContextVar[Mapping[str, str]] = ContextVar("log_context", default={})  # noqa: B039 nobody writes into it


def escaped(text: str) -> str:
    """``text`` with Python escapes for characters that are not printable.

    Such are controls, line and bidi marks, and unpaired surrogates.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def fields(values: Mapping[str, Any]) -> str:
    """``name=value`` pairs in logfmt and ASCII.

    A value with a space, a quote, ``=`` or an unusual character is a JSON string.
    """
    return " ".join(f"{name}={_value(value)}" for name, value in values.items())


def _value(value: Any) -> str:
    if type(value) in (int, float):
        return repr(value)
    text = value if isinstance(value, str) else _json(value)
    return text if _BARE.fullmatch(text) else _json(text)


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        level = _LEVELS.get(record.levelname, record.levelname)
        parts = _parts(record)
        message = fields(parts) if parts else escaped(record.getMessage())
        if ids := {name: value for name, value in context.get().items() if name not in parts}:
            message += " " + fields(ids)
        # Indented, so that no line of an exception's message looks like a line of the log.
        lines = [f"\n    {escaped(line)}" for line in _exception(self, record).split("\n") if line]
        return f"[{_time(record)} {level:<5} {record.name}] {message}" + "".join(lines)


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        level = _LEVELS.get(record.levelname, record.levelname).lower()
        line = {"time": _time(record), "level": level, "target": record.name}
        parts = _parts(record) or {"message": record.getMessage()}
        if exception := _exception(self, record):
            parts = {**parts, "exception": exception}
        return _json({**line, **context.get(), **parts, **line})


def _parts(record: logging.LogRecord) -> Mapping[str, Any]:
    # A record may have fields, which are more useful to a program than a sentence.
    return getattr(record, "fields", None) or {}


def _time(record: logging.LogRecord) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))


def _exception(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    """The record's traceback and stack, if any."""
    parts = [formatter.formatException(record.exc_info)] if record.exc_info else []
    if record.stack_info:
        parts.append(record.stack_info)
    return "\n".join(parts)


def configure(kind: Format, level: Level, file: str | None = None) -> None:
    """Logs records of ``level`` and above to standard error, or to ``file``."""
    handler = logging.FileHandler(file, encoding="utf-8") if file else logging.StreamHandler(sys.stderr)
    handler.setFormatter(_TextFormatter() if kind == "text" else _JsonFormatter())
    logging.basicConfig(level={"warn": "WARNING"}.get(level, level.upper()), handlers=[handler], force=True)
    logging.getLogger("asyncio").setLevel("WARNING")
