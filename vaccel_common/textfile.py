"""Text files that users give: UTF-8, in lines that end at LF or CR LF and nowhere else.

Python's own ways to read lines end them at more: ``str.splitlines`` at U+2028, U+0085, form feeds
and others, text files at a lone CR. Any of these may be a part of a text or of a token.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from pathlib import Path

#: Marks at the beginning of a file in another encoding. UTF-32's begins as UTF-16's does.
_OTHERS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)


class TextFileError(ValueError):
    """The file is not text that can be read; the message names the file and the reason."""


def read_text(path: Path) -> str:
    """The file's text, every line end as it is. Raises `TextFileError`."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TextFileError(f"{path}: {error.strerror}") from None
    return decoded(data, str(path))


def read_lines(path: Path) -> list[str]:
    """The file's lines, without their ends. Raises `TextFileError`."""
    return lines_of(read_text(path))


def decoded(data: bytes, name: str, *, beginning: bool = True) -> str:
    """The text in ``data``; if that is the ``beginning`` of a file, without a byte order mark.

    Raises `TextFileError`, which calls the data ``name``.
    """
    if beginning:
        for mark, encoding in _OTHERS:
            if data.startswith(mark):
                raise TextFileError(f"{name} is {encoding} text; save it as UTF-8")
    if b"\0" in data:
        raise TextFileError(f"{name} is a binary file: byte {data.index(0)} is zero; a text file is needed")
    try:
        return data.decode("utf-8-sig" if beginning else "utf-8")
    except UnicodeDecodeError as error:
        # The codec counts from behind a byte order mark.
        at = error.start + len(data) - len(error.object)
        line = data.count(b"\n", 0, at) + 1
        where = f"byte {at} (line {line})" if line > 1 else f"byte {at}"
        raise TextFileError(f"{name} is not UTF-8 text: {where} cannot be read") from None


def lines_of(text: str) -> list[str]:
    """The lines of a text, without their ends; none for an empty text."""
    lines = text.split("\n")
    # What follows the last line feed is a line only if there is anything.
    last = lines.pop()
    return [line.removesuffix("\r") for line in lines] + ([last] if last else [])


def lines_in(file: Iterable[bytes], name: str) -> Iterator[str]:
    """The lines of a binary file as they come, as `lines_of` divides them. Raises `TextFileError`."""
    for number, data in enumerate(_read(file, name), 1):
        yield from lines_of(decoded(data, f"line {number} of {name}", beginning=number == 1))


def _read(file: Iterable[bytes], name: str) -> Iterator[bytes]:
    try:
        yield from file
    except OSError as error:
        raise TextFileError(f"{name}: {error.strerror}") from None
