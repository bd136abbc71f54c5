"""Reads the classifier's input: a text file, a CSV with a ``tweet`` column, or standard input as it arrives."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from vaccel_common.csvfile import read_columns
from vaccel_common.textfile import TextFileError, lines_in, read_lines

_COLUMN = "tweet"


def read_file(path: Path) -> list[str]:
    """The file's lines, or the ``tweet`` fields of a ``.csv``. Raises `vaccel_common.textfile.TextFileError`."""
    return [row.fields[0] for row in read_columns(path, [_COLUMN])] if path.suffix.lower() == ".csv" else read_lines(path)


def standard_input() -> Iterator[str]:
    """Standard input's lines as they come. Raises `vaccel_common.textfile.TextFileError`."""
    if sys.stdin is None:
        raise TextFileError("standard input is closed")
    # Not sys.stdin: at exit the interpreter takes its lock, which a thread that waits for a line holds,
    # and aborts.
    with open(0, "rb", closefd=False) as lines:
        yield from lines_in(lines, "standard input")
