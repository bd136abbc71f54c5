"""Reads the classifier's input: lines, columns of a CSV or TSV, or JSON lines; of a file, or of standard input as it arrives."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from itertools import starmap
from pathlib import Path
from typing import Literal, NamedTuple

from function.core.options import OPTIONS, Unusable
from function.core.reading import Malformed, parse_json
from function.core.texts import PAIR_FORM, Pair, Text, of_item
from vaccel_common.csvfile import columns_of
from vaccel_common.textfile import TextFileError, decoded, lines_in, lines_of, read_text

InputForm = Literal["lines", "csv", "tsv", "jsonl"]
#: The column of the deployment guide's data.csv.
DEFAULT_COLUMN = "tweet"
_BY_SUFFIX: dict[str, InputForm] = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}


class InputLine(NamedTuple):
    """A text or pair of the input, or what is wrong with it, and the ``number`` of the line that it begins on, from 1."""

    number: int
    text: Text | Unusable


def read_file(path: Path, column: str | None = None) -> list[str]:
    """The single texts in a file, read as `read_texts` does. Raises `vaccel_common.textfile.TextFileError`, for pairs too."""
    texts = read_texts(path, None, column, None)
    if any(isinstance(text, Pair) for text in texts):
        raise TextFileError(f"{path} has pairs of texts; single texts are needed")
    return [str(text) for text in texts]


def read_texts(path: Path, form: InputForm | None, column: str | None, pair_column: str | None) -> list[Text]:
    """The texts and pairs in a file, read as `read_input` does.

    Raises `vaccel_common.textfile.TextFileError`, also for the first line that has none.
    """
    return [good_text(line, path) for line in read_input(path, form, column, pair_column)]


def good_text(line: InputLine, path: Path) -> Text:
    """The line's text or pair. Raises `vaccel_common.textfile.TextFileError` where it has none."""
    if isinstance(line.text, Unusable):
        raise TextFileError(f"line {line.number} of {path}: {line.text}")
    return line.text


def read_input(path: Path, form: InputForm | None, column: str | None, pair_column: str | None) -> list[InputLine]:
    """The texts and pairs in a file; ``form``: None is by its suffix; ``column``: None is `DEFAULT_COLUMN`.

    A row whose ``pair_column`` is empty is a single text. Raises `vaccel_common.textfile.TextFileError` for a file that cannot be divided into
    lines or rows.
    """
    form = form or form_of(path)
    _check_columns(form, column, pair_column, str(path))
    return list(_texts(read_text(path), str(path), form, column, pair_column))


def form_of(path: Path) -> InputForm:
    """The form that a file's suffix names, else lines; ``-`` is standard input."""
    return _BY_SUFFIX.get(path.suffix.lower(), "lines")


def standard_input(form: InputForm, column: str | None, pair_column: str | None) -> Iterator[InputLine]:
    """The same of standard input; lines and JSON lines as they come, columns at its end."""
    name = "standard input"
    _check_columns(form, column, pair_column, name)
    if sys.stdin is None:
        raise TextFileError(f"{name} is closed")
    # Not sys.stdin: at exit the interpreter takes its lock, which a thread that waits for a line holds,
    # and aborts.
    with open(0, "rb", closefd=False) as file:
        if form in ("csv", "tsv"):
            yield from _texts(decoded(b"".join(file), name), name, form, column, pair_column)
        else:
            yield from _of_lines(lines_in(file, name), form)


def _check_columns(form: InputForm, column: str | None, pair_column: str | None, name: str) -> None:
    if form in ("csv", "tsv"):
        return
    for flag, value in (("--column", column), ("--pair-column", pair_column)):
        if value is not None:
            raise TextFileError(
                f"{flag} {value} needs columns, and {name} is read as {form}: give a .csv or .tsv file, or --input csv or tsv"
            )


def _texts(text: str, name: str, form: InputForm, column: str | None, pair_column: str | None) -> Iterator[InputLine]:
    if form in ("lines", "jsonl"):
        return _of_lines(lines_of(text), form)
    first = DEFAULT_COLUMN if column is None else column
    columns = [first] if pair_column is None else [first, pair_column]
    return (InputLine(row.line, _of_fields(*row.fields)) for row in columns_of(text, name, columns, tabs=form == "tsv"))


def _of_fields(text: str, text_pair: str = "") -> Text:
    # A row always has the column: what is empty there is no second text, where in JSON it is one that was left empty.
    return Pair(text, text_pair) if text_pair.strip() else text


def _of_lines(lines: Iterable[str], form: InputForm) -> Iterator[InputLine]:
    """Each line as it is; or of JSON a text or pair from each line that is not blank: a string, or an object as in a request."""
    numbered = enumerate(lines, 1)
    if form == "lines":
        return starmap(InputLine, numbered)
    return (InputLine(number, _of_json(line)) for number, line in numbered if line.strip())


def _of_json(line: str) -> Text | Unusable:
    where = "the line"
    try:
        data = parse_json(line.encode(), where)
    except (Malformed, Unusable) as error:
        # The parser counts lines within this one, whose own number is told.
        return Unusable(re.sub(r"line 1 (column \d+ \(char \d+\))$", r"\1", str(error)))
    if isinstance(data, dict) and (option := next((name for name in data if name in OPTIONS), None)):
        flag = option.replace("_", "-")
        return Unusable(f'{where} has the option "{option}"; the option of the command, --{flag}, is for all lines')
    item = of_item(data, where)
    if isinstance(item, Unusable):
        return item
    texts = item if isinstance(item, Pair) else (item,)
    if wrong := next(filter(None, map(_wrong, texts)), None):
        return wrong
    if isinstance(item, Pair) and not item.text_pair.strip():
        return Unusable("the text's text_pair is empty")
    return item  # type: ignore[no-any-return]


def _wrong(text: object) -> Unusable | None:
    if not isinstance(text, str):
        return Unusable(f'a text is a string, and a line is one, or {{"text": "..."}}, or {PAIR_FORM}')
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return Unusable(f"a text has an unpaired surrogate at character {error.start}")
    return None
