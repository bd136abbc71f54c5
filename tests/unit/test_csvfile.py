"""A CSV is read strictly: nothing in it is read as something else without a word."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.cli.lines import read_file
from training.data import read_tweets
from vaccel_common.csvfile import CsvRow, read_columns
from vaccel_common.textfile import TextFileError


def write(path: Path, data: str | bytes) -> Path:
    file = path / "data.csv"
    file.write_bytes(data if isinstance(data, bytes) else data.encode())
    return file


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        ("a,tweet", []),
        ("tweet\n\n\nx\n", [(4, "x")]),
        ('tweet\n""\nx\n', [(2, ""), (3, "x")]),
        ('\ufeffa,tweet\r\n1,"x, ""y""\r\nz"\r\n2,w', [(2, 'x, "y"\r\nz'), (4, "w")]),
        ("tweet,b\nx\u2028\x85\x0b,1\n", [(2, "x\u2028\x85\x0b")]),
        ('tweet\na"b""c\n', [(2, 'a"b""c')]),
        (f"tweet\n{'x' * 200_000}\n", [(2, "x" * 200_000)]),
        ("b,tweet,b\n1,x,2\n", [(2, "x")]),
    ],
)
def test_fields_are_read_as_they_were_written(tmp_path: Path, data: str, rows: list[tuple[int, str]]) -> None:
    """With the line where each row begins; quotes may hold line ends, and nothing else is one but line feeds."""
    assert read_columns(write(tmp_path, data), ["tweet"]) == [CsvRow(line, (text,)) for line, text in rows]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("", " has no column 'tweet'; its first line names none"),
        ("count,text\n", " has no column 'tweet'; its first line names count, text"),
        ("count,Tweet\n", " has no column 'tweet'; its first line names count, Tweet; did you mean 'Tweet'?"),
        ("tweets\n", " has no column 'tweet'; its first line names tweets; did you mean 'tweets'?"),
        ("tweet,tweet\nx,y\n", " has several columns 'tweet'; its first line names tweet, tweet"),
        ("tweet,b\nx,1\ny\n", ", line 3: 1 fields, and the header names 2"),
        ("tweet\nx, y\n", ", line 2: 2 fields, and the header names 1"),
        ('a,tweet\n1,x\n2,"y\n3,z\n', ", line 3: a quote is opened and never closed"),
        ('a,tweet\n"1\n2","x""\n', ", line 3: a quote is opened and never closed"),
        ('"a', ", line 1: a quote is opened and never closed"),
        ('tweet\n"x\ny\n"z" w\n', ", line 4: text follows the quote that closes the field from line 2; a quote in a field is doubled"),
        ("tweet\nx\ry\n", ", line 2: a carriage return outside quotes; a row ends at a line feed, with or without one before it"),
        ("tweet\rx\r", ", line 1: a carriage return outside quotes; a row ends at a line feed, with or without one before it"),
        (b"tweet\nx\0y\n", " is a binary file: byte 7 is zero; a text file is needed"),
        (b"tweet\nna\xefve\n", " is not UTF-8 text: byte 8 (line 2) cannot be read"),
        ("tweet\nx\n".encode("utf-16"), " is UTF-16 text; save it as UTF-8"),
    ],
)  # fmt: skip
def test_a_wrong_csv_is_told_by_its_line(tmp_path: Path, data: str | bytes, says: str) -> None:
    """In one line, to the classifier and to whoever trains."""
    path = write(tmp_path, data)
    for read in (read_file, lambda path: read_columns(path, ["tweet"])):
        with pytest.raises(TextFileError) as failure:
            read(path)
        assert str(failure.value) == f"{path}{says}"


def test_training_tells_the_line_of_a_wrong_class(tmp_path: Path) -> None:
    """It is the line where the row begins, though a text before it has line ends."""
    path = write(tmp_path, 'class,tweet\n0,"a\nb"\n3,"c\nd"\n')
    with pytest.raises(ValueError, match=r"data.csv, line 4: class is '3', not 0, 1 or 2"):
        read_tweets(path)


FIELDS = st.text(st.sampled_from('ab",\n \u2028'), max_size=6)


@given(st.lists(st.tuples(FIELDS, FIELDS), max_size=5), st.sampled_from(["\n", "\r\n"]))
def test_what_pythons_writer_writes_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], end: str
) -> None:
    """Any fields, quoted where they must be."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end).writerows([("tweet", "b"), *rows])
    path = write(tmp_path_factory.mktemp("csv"), text.getvalue())
    assert [row.fields for row in read_columns(path, ["tweet", "b"])] == rows


@given(st.text(st.sampled_from('ab",\n\r')))
def test_any_text_is_read_or_told(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """There is no third way; every row that is read has the field."""
    path = write(tmp_path_factory.mktemp("csv"), "a,b\n" + text)
    says = ""
    try:
        rows = read_columns(path, ["b"])
    except TextFileError as error:
        rows, says = [], str(error)
    assert says.startswith(f"{path}, line ") if says else len(rows) <= text.count("\n") + 1
