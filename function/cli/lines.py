"""Reads the classifier's input: a text file, columns of a CSV, or standard input as it arrives."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from function.core.texts import Pair, Text
from vaccel_common.csvfile import read_columns
from vaccel_common.textfile import TextFileError, lines_in, read_lines


def read_file(path: Path, column: str = "tweet") -> list[str]:
    """The file's lines, or the fields of a ``.csv``'s column. Raises `vaccel_common.textfile.TextFileError`."""
    return [row.fields[0] for row in read_columns(path, [column])] if path.suffix.lower() == ".csv" else read_lines(path)


def read_pairs(path: Path, column: str, pair_column: str) -> list[Text]:
    """The pairs in two columns of a ``.csv``; a row without the second text is a single one, as in transformers' pipeline.

    Raises `vaccel_common.textfile.TextFileError`.
    """
    if path.suffix.lower() != ".csv":
        raise TextFileError(f"--pair-column {pair_column} needs a .csv file, which {path} is not")
    rows = (row.fields for row in read_columns(path, [column, pair_column]))
    return [Pair(first, second) if second else first for first, second in rows]


def standard_input() -> Iterator[str]:
    """Standard input's lines as they come. Raises `vaccel_common.textfile.TextFileError`."""
    if sys.stdin is None:
        raise TextFileError("standard input is closed")
    # Not sys.stdin: at exit the interpreter takes its lock, which a thread that waits for a line holds,
    # and aborts.
    with open(0, "rb", closefd=False) as lines:
        yield from lines_in(lines, "standard input")
