"""Reads the classifier's input: a text file, a CSV with a ``tweet`` column, or standard input as it arrives."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator
from pathlib import Path

_COLUMN = "tweet"


class InputError(ValueError):
    """The file cannot be classified; the message says why."""


def read_file(path: Path) -> list[str]:
    """The file's lines, or the ``tweet`` fields of a ``.csv``. Raises `InputError`."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    text = _decoded(data, str(path))
    return _column(text, path) if path.suffix.lower() == ".csv" else text.splitlines()


def _decoded(data: bytes, name: str) -> str:
    if b"\0" in data:
        raise InputError(f"{name} is a binary file: byte {data.index(0)} is zero; a text file is needed")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is not UTF-8 text: byte {error.start} cannot be read") from None


def _column(text: str, path: Path) -> list[str]:
    # The limit is of the whole process: it is only ever raised.
    csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))
    rows = csv.DictReader(io.StringIO(text, newline=""))
    if not rows.fieldnames or _COLUMN not in rows.fieldnames:
        raise InputError(f"{path} has no column {_COLUMN!r}; its first line names {', '.join(rows.fieldnames or []) or 'none'}")
    return [row[_COLUMN] or "" for row in rows]


def standard_input() -> Iterator[str]:
    """Standard input's lines as they come. Raises `InputError`."""
    # Not sys.stdin: at exit the interpreter takes its lock, which a thread that waits for a line holds,
    # and aborts.
    with open(sys.stdin.fileno(), "rb", closefd=False) as lines:
        for number, line in enumerate(lines, 1):
            yield _decoded(line, f"line {number} of standard input").rstrip("\r\n")
