"""Pairs of texts on the classifier's command line: two columns of a CSV or TSV, and lines of JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from function.cli.lines import InputLine, read_file, read_input, read_texts
from function.cli.results import as_json
from function.core.options import Options, Unusable
from function.core.texts import Pair
from vaccel_common.textfile import TextFileError


def test_two_columns_are_pairs(tmp_path: Path) -> None:
    """In any order and with any others beside them; a row without the second text is a single one."""
    path = tmp_path / "rows.csv"
    path.write_text('id,hypothesis,premise\n1,"was, late",the tea 茶\n2,,alone\n3, ,blank\n', encoding="utf-8")
    assert read_texts(path, None, "premise", "hypothesis") == [Pair("the tea 茶", "was, late"), "alone", "blank"]
    assert read_file(path, "premise") == ["the tea 茶", "alone", "blank"]


def test_two_columns_between_tabs_are_pairs(tmp_path: Path) -> None:
    """Quotes and commas are a part of a text there; a row with another number of fields is told with its line."""
    path = tmp_path / "rows.tsv"
    path.write_bytes('premise\thypothesis\r\nthe "tea, 茶\twas\u2028late\r\n\nalone\t\n'.encode())
    assert read_texts(path, None, "premise", "hypothesis") == [Pair('the "tea, 茶', "was\u2028late"), "alone"]
    path.write_text("premise\thypothesis\na\tb\tc\n")
    with pytest.raises(TextFileError, match=r"rows\.tsv, line 2: 3 fields, and the header names 2"):
        read_texts(path, None, "premise", "hypothesis")


def test_lines_of_json_are_texts_and_pairs(tmp_path: Path) -> None:
    """As in a request: strings, and objects; a null second text is none, and other fields are ignored."""
    path = tmp_path / "rows.jsonl"
    lines = ['"alone"', "", '{"text": "a\\nb", "text_pair": "c", "id": 7}', '{"text": "d", "text_pair": null}', '""']
    path.write_text("\n".join(lines), encoding="utf-8")
    assert read_texts(path, None, None, None) == ["alone", Pair("a\nb", "c"), "d", ""]
    assert read_texts(path, "lines", None, None) == lines
    with pytest.raises(TextFileError, match="has pairs of texts; single texts are needed"):
        read_file(path)


@pytest.mark.parametrize(
    ("name", "data", "numbers"),
    [
        ("rows.txt", "a\n\nb", [1, 2, 3]),
        ("rows.jsonl", '"a"\n\n \r\n"b"\n', [1, 4]),
        ("rows.csv", 'b,a\n"x\ny",1\n\n2,3\n', [2, 5]),
        ("rows.tsv", "a\tb\n\n1\t2\n", [3]),
    ],
)
def test_a_text_has_the_number_of_its_line(tmp_path: Path, name: str, data: str, numbers: list[int]) -> None:
    """It counts a header, blank lines and the lines of the rows before."""
    path = tmp_path / name
    path.write_text(data)
    columns = (None, None) if name.endswith(("txt", "jsonl")) else ("a", "b")
    assert [line.number for line in read_input(path, None, *columns)] == numbers


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", r"line 2 of .*jsonl: the line is not valid JSON: .*: column 2 \(char 1\)$"),
        ("7", "line 2 of .*jsonl: a text is a string"),
        ('["a", "b"]', "line 2 of .*jsonl: a text is a string"),
        ('{"text": null}', "line 2 of .*jsonl: a text is a string"),
        ('{"text": "a", "text_pair": 1}', "line 2 of .*jsonl: a text is a string"),
        ('{"text": "a", "text_pair": ""}', "line 2 of .*jsonl: the text's text_pair is empty"),
        ('{"text": "a", "text_pair": " "}', "line 2 of .*jsonl: the text's text_pair is empty"),
        ('{"txt": "a"}', 'line 2 of .*jsonl: the line has no "text".*did you mean "text" by "txt"'),
        ('{"text": "a", "pair": "b"}', 'line 2 of .*"pair" is not a field; did you mean "text_pair"'),
        ('{"text": "a", "top_k": 1}', 'line 2 of .*: the line has the option "top_k"; the option of the command, --top-k,'),
        ('{"text": NaN}', "not valid JSON"),
        ('{"text": "a\\ud800"}', "line 2 of .*unpaired surrogate at character 1"),
    ],
)
def test_a_line_of_json_that_is_no_text_is_told(tmp_path: Path, line: str, says: str) -> None:
    """With its number, and what would be right; the other lines are there to whoever takes a line's error."""
    path = tmp_path / "rows.jsonl"
    path.write_text(f'"a"\n{line}\n"b"\n')
    with pytest.raises(TextFileError, match=says):
        read_texts(path, None, None, None)
    good, bad, last = read_input(path, None, None, None)
    assert (good, last) == (InputLine(1, "a"), InputLine(3, "b"))
    assert isinstance(bad.text, Unusable)


def test_a_file_without_the_columns_is_told(tmp_path: Path) -> None:
    """A column that is not there, and a file that has none."""
    path = tmp_path / "rows.csv"
    path.write_text("premise\na\n")
    with pytest.raises(TextFileError, match="hypothesis"):
        read_texts(path, None, "premise", "hypothesis")
    for columns, flag in (((None, "b"), "--pair-column b"), (("a", None), "--column a"), (("tweet", "b"), "--column tweet")):
        for name, form in (("lines.txt", "lines"), ("lines.jsonl", "jsonl")):
            with pytest.raises(
                TextFileError, match=rf"^{flag} needs columns, and .*{name} is read as {form}: give a .csv or .tsv file"
            ):
                read_texts(tmp_path / name, None, *columns)


def test_a_pair_is_in_its_line_of_json() -> None:
    """With the names of a request."""
    line = json.loads(as_json(InputLine(3, Pair("a", "b")), Unusable("texts[0]'s text_pair is empty"), 1.0, Options()))
    assert (line["line"], line["text"], line["text_pair"]) == (3, "a", "b")
    assert line["error"]["detail"] == "the text's text_pair is empty"
