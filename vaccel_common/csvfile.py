"""Reads columns of a CSV file (RFC 4180) or of tab-separated values, strictly: what would be read as something else is told, with its line."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from vaccel_common.textfile import TextFileError, lines_of, read_text

#: How like a column's name another must be to be meant: ``tweets`` is, ``text`` is not.
_ALIKE = 0.75


class CsvRow(NamedTuple):
    """The fields of the columns that were asked for, and the ``line`` of the file with the row's beginning, from 1."""

    line: int
    fields: tuple[str, ...]


def read_columns(path: Path, columns: Sequence[str]) -> list[CsvRow]:
    """The fields of ``columns`` in each row of a CSV file after the header; see `columns_of`."""
    return columns_of(read_text(path), str(path), columns)


def columns_of(text: str, path: str, columns: Sequence[str], *, tabs: bool = False) -> list[CsvRow]:
    """The fields of ``columns`` in each row of a text after the header. An empty line is no row.

    ``path``: what messages call it. ``tabs``: fields end at tabs, and quotes are a part of them.

    Raises `TextFileError` with the line for a column that the header does not name once, a quote
    that is not closed or that other text follows, and a row with more or fewer fields than the
    header; line ends within quotes belong to the field.
    """
    rows = _tabbed(text) if tabs else _rows(text, path)
    header = next(rows, (1, []))[1]
    at = [_place(column, header, path) for column in columns]
    return [CsvRow(line, tuple(row[i] for i in at)) for line, row in _fitting(rows, header, path)]


def _tabbed(text: str) -> Iterator[tuple[int, list[str]]]:
    """Each line that is not empty, with its number."""
    return ((number, line.split("\t")) for number, line in enumerate(lines_of(text), 1) if line)


def _rows(text: str, path: str) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not empty, with the number of its first line."""
    # The limit is of the whole process: it is only ever raised.
    csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))
    lines = text.split("\n")
    # Not `splitlines` nor a text file's lines, which end at more than line feeds.
    reader = csv.reader((f"{line}\n" for line in lines), strict=True)
    while True:
        first = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise TextFileError(f"{path}, {_problem(lines, first, reader.line_num, error)}") from None
        if row:
            yield first, row


def _problem(lines: list[str], first: int, last: int, error: csv.Error) -> str:
    """Why the row in these lines, counted from 1, cannot be read."""
    if "new-line character" in str(error):
        return f"line {last}: a carriage return outside quotes; a row ends at a line feed, with or without one before it"
    opened, closed = _failed_field(lines[first - 1 : last], first)
    if closed is None:
        return f"line {opened}: a quote is opened and never closed"
    return f"line {closed}: text follows the quote that closes the field from line {opened}; a quote in a field is doubled"


def _failed_field(lines: list[str], number: int) -> tuple[int, int | None]:
    """The lines of the quotes that begin and close the first field that is not closed, or that other text follows.

    ``number``: that of the first line. The second is None where the quote is not closed.
    """
    opened, closed, state = number, None, "start"
    for number, line in enumerate(lines, number):  # noqa: B020 the numbers go on from the first
        for character in line.removesuffix("\r") + "\n":
            if state == "quoted":
                state, closed = ("closed", number) if character == '"' else (state, None)
            elif character == '"' and state in ("start", "closed"):
                # After a quote that closes, one more is a quote in the field.
                opened, state = (number if state == "start" else opened), "quoted"
            elif character in ",\n":
                state = "start"
            elif state == "closed":
                return opened, closed
            else:
                state = "plain"
    return opened, None


def _place(column: str, header: list[str], path: str) -> int:
    names = ", ".join(header) or "none"
    if not header.count(column):
        plain = {name.strip().lower(): name for name in reversed(header)}
        near = difflib.get_close_matches(column.lower(), plain, 1, _ALIKE)
        hint = f"; did you mean {plain[near[0]]!r}?" if near else ""
        raise TextFileError(f"{path} has no column {column!r}; its first line names {names}{hint}")
    if header.count(column) > 1:
        raise TextFileError(f"{path} has several columns {column!r}; its first line names {names}")
    return header.index(column)


def _fitting(rows: Iterator[tuple[int, list[str]]], header: list[str], path: str) -> Iterator[tuple[int, list[str]]]:
    for line, row in rows:
        if len(row) != len(header):
            raise TextFileError(f"{path}, line {line}: {len(row)} fields, and the header names {len(header)}")
        yield line, row
