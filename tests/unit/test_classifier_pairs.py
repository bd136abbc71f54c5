"""Two columns of a CSV are pairs of texts on the classifier's command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from function.cli.lines import read_file, read_pairs
from function.cli.results import as_json
from function.core.options import Options, Unusable
from function.core.texts import Pair
from vaccel_common.textfile import TextFileError


def test_two_columns_are_pairs(tmp_path: Path) -> None:
    """In any order and with any others beside them; a row without the second text is a single one."""
    path = tmp_path / "rows.csv"
    path.write_text('id,hypothesis,premise\n1,"was, late",the tea 茶\n2,,alone\n', encoding="utf-8")
    assert read_pairs(path, "premise", "hypothesis") == [Pair("the tea 茶", "was, late"), "alone"]
    assert read_file(path, "premise") == ["the tea 茶", "alone"]


def test_a_file_without_the_columns_is_told(tmp_path: Path) -> None:
    """A column that is not there, and a file that has none."""
    path = tmp_path / "rows.csv"
    path.write_text("premise\na\n")
    with pytest.raises(TextFileError, match="hypothesis"):
        read_pairs(path, "premise", "hypothesis")
    with pytest.raises(TextFileError, match=r"--pair-column b needs a \.csv file"):
        read_pairs(tmp_path / "lines.txt", "a", "b")


def test_a_pair_is_in_its_line_of_json() -> None:
    """With the names of a request."""
    line = json.loads(as_json(3, Pair("a", "b"), Unusable("texts[0]'s text_pair is empty"), 1.0, Options()))
    assert (line["line"], line["text"], line["text_pair"]) == (3, "a", "b")
    assert line["error"]["detail"] == "the text's text_pair is empty"
