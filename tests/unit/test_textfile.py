"""Lines of input end at LF or CR LF and nowhere else, in files and in pipes alike."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.cli.lines import read_file
from vaccel_common.textfile import TextFileError, decoded, lines_in, lines_of, read_lines

#: What ``str.splitlines`` takes for the end of a line, and files do not.
SEPARATORS = "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\r"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("\n", [""]),
        ("\n\n", ["", ""]),
        ("a", ["a"]),
        ("a\n\nb\n", ["a", "", "b"]),
        ("a\r\nb\r\r\n\r\n", ["a", "b\r", ""]),
        ("a\rb\r", ["a\rb\r"]),
        (f"a{SEPARATORS}b\n", [f"a{SEPARATORS}b"]),
        ("\ufeff", []),
    ],
)
def test_lines_end_at_line_feeds(text: str, lines: list[str]) -> None:
    """One CR before it belongs to the end, and what follows the last one is a line if there is anything."""
    assert list(lines_in(io.BytesIO(text.encode()), "it")) == lines
    assert lines_of(decoded(text.encode(), "it")) == lines


@given(st.text(st.sampled_from("ab\n\r\ufeff" + SEPARATORS)))
def test_a_file_and_a_pipe_have_the_same_lines(text: str) -> None:
    """A byte order mark is dropped at the beginning alone, and the lines give the text back."""
    data = ("." + text).encode()
    lines = list(lines_in(io.BytesIO(data), "it"))
    assert lines == lines_of("." + text)
    assert "\n".join(lines).replace("\r\n", "\n").replace("\r", "") == ("." + text).removesuffix("\n").replace("\r", "")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"tea\nna\xefve", r"is not UTF-8 text: byte 6 \(line 2\) cannot be read"),
        (b"\xef\xbb\xbfna\xefve", r"is not UTF-8 text: byte 5 cannot be read"),
        ("tea".encode("utf-16"), "is UTF-16 text; save it as UTF-8"),
        ("tea".encode("utf-32"), "is UTF-32 text; save it as UTF-8"),
        (b"\xfe\xff\0t", "is UTF-16 text"),
        (b"te\0a", "is a binary file: byte 2 is zero"),
    ],
)
def test_what_is_not_text_is_told(tmp_path: Path, data: bytes, says: str) -> None:
    """By the file's name, or as the line of a pipe; the place is the file's own."""
    path = tmp_path / "texts.txt"
    path.write_bytes(data)
    with pytest.raises(TextFileError, match=f"^{path} {says}"):
        read_lines(path)
    with pytest.raises(TextFileError, match=r"^line [12] of standard input is"):
        list(lines_in(io.BytesIO(data), "standard input"))


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """A folder, and no file at all."""
    with pytest.raises(TextFileError, match=f"^{tmp_path}: Is a directory"):
        read_lines(tmp_path)
    with pytest.raises(TextFileError, match="nothing: No such file"):
        read_lines(tmp_path / "nothing")


def test_texts_of_the_classifier_keep_separators(tmp_path: Path) -> None:
    """Its lines keep their numbers, whatever is in them."""
    path = tmp_path / "texts.txt"
    path.write_bytes(f"one{SEPARATORS}.\ntwo\r\n".encode())
    assert read_file(path) == [f"one{SEPARATORS}.", "two"]
