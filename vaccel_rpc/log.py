"""Log lines as the deployment guide shows them, or one JSON object a line; on standard error."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Literal

_LEVELS = {"WARNING": "WARN", "CRITICAL": "ERROR"}


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        level = _LEVELS.get(record.levelname, record.levelname)
        return f"[{_time(record)} {level:<5} {record.name}] {_message(self, record)}"


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        level = _LEVELS.get(record.levelname, record.levelname).lower()
        line = {"time": _time(record), "level": level, "target": record.name}
        # A record may bring its parts: they are worth more to a program than a sentence made of them.
        return json.dumps({**line, **(getattr(record, "fields", None) or {"message": _message(self, record)})})


def _time(record: logging.LogRecord) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))


def _message(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    # A client's words may stand in a message: a line break in them must not begin a line of its own.
    message = record.getMessage().replace("\n", "\\n").replace("\r", "\\r")
    return message + ("\n" + formatter.formatException(record.exc_info) if record.exc_info else "")


def configure(kind: Literal["text", "json"], level: str, file: str | None = None) -> None:
    """Sends everything at ``level`` (debug, info, warn, error) and above to standard error, or ``file``."""
    handler = logging.FileHandler(file) if file else logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Text() if kind == "text" else _Json())
    logging.basicConfig(level={"warn": "WARNING"}.get(level, level.upper()), handlers=[handler], force=True)
    logging.getLogger("asyncio").setLevel("WARNING")
