"""Kinds of option values: parsed from text or JSON, with bounds, and described for people and
OpenAPI.

A kind does not know its option, nor where its text comes from. Every error is a ``ValueError``
whose message says which values are valid.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")
Word = TypeVar("Word", bound=str)


def not_empty(text: str) -> str:
    """The text of a path. Raises ``ValueError`` where it is empty, which `Path` takes for the current folder."""
    if not text:
        raise ValueError("the path is empty")
    return text


class Kind(ABC, Generic[Value]):
    """The valid values of an option, and how they are written."""

    @property
    @abstractmethod
    def needed(self) -> str:
        """The valid values, as the end of "... must be": ``a whole number from 1 to 1024``."""

    @property
    def metavar(self) -> str:
        """A placeholder for a value on a command line."""
        return "TEXT"

    @property
    def bounded(self) -> bool:
        """Whether `needed` says more than the placeholder does."""
        return False

    @abstractmethod
    def parse(self, text: str) -> Value:
        """The value of a variable's or command line's text. Raises ``ValueError``."""

    def check(self, value: Any) -> Value:
        """The value of a JSON value. Raises ``ValueError``."""
        if not isinstance(value, str):
            raise self.error()
        return self.parse(value)

    def show(self, value: Value) -> str:
        """The text that `parse` reads as ``value``."""
        return str(value)

    def schema(self) -> dict[str, Any]:
        """The JSON schema of a value."""
        return {"type": "string"}

    def error(self) -> ValueError:
        """The error that names the valid values."""
        return ValueError(f"{self.needed} is needed")


@dataclass(frozen=True)
class Text(Kind[str]):
    """Any text."""

    placeholder: str = "TEXT"
    needed = "a string"

    @property
    def metavar(self) -> str:
        """The declared placeholder."""
        return self.placeholder

    def parse(self, text: str) -> str:
        """The text itself."""
        return text


@dataclass(frozen=True)
class Choice(Kind[Word]):
    """One of several words."""

    words: tuple[Word, ...]
    bounded = True

    @property
    def needed(self) -> str:
        """The list of words."""
        return f"one of {', '.join(self.words)}"

    @property
    def metavar(self) -> str:
        """The words, in the form of command lines."""
        return f"[{'|'.join(self.words)}]"

    def parse(self, text: str) -> Word:
        """The word itself. Raises ``ValueError``."""
        for word in self.words:
            if word == text:
                return word
        raise self.error()

    def schema(self) -> dict[str, Any]:
        """An enumeration."""
        return {"type": "string", "enum": list(self.words)}


class Flag(Kind[bool]):
    """Yes or no: ``1`` or ``0`` as text, ``true`` or ``false`` in JSON."""

    needed = "true or false"
    _TEXTS = {"1": True, "true": True, "0": False, "false": False}  # noqa: RUF012 nobody writes into it

    @property
    def metavar(self) -> str:
        """The two digits."""
        return "0|1"

    def parse(self, text: str) -> bool:
        """Accepts ``true`` and ``false`` too. Raises ``ValueError``."""
        if text.lower() not in self._TEXTS:
            raise ValueError("1 or 0 is needed")
        return self._TEXTS[text.lower()]

    def check(self, value: Any) -> bool:
        """Accepts JSON's ``true`` and ``false`` alone. Raises ``ValueError``."""
        if not isinstance(value, bool):
            raise self.error()
        return value

    def show(self, value: bool) -> str:
        """A digit."""
        return "1" if value else "0"

    def schema(self) -> dict[str, Any]:
        """A boolean."""
        return {"type": "boolean"}


@dataclass(frozen=True)
class FileName(Text):
    """A file's name as text: one that is more than a path, such as ``-``, or that is opened elsewhere."""

    placeholder: str = "FILE"

    def parse(self, text: str) -> str:
        """The text itself. Raises ``ValueError`` where it is empty."""
        return not_empty(text)


@dataclass(frozen=True)
class PathTo(Kind[Path]):
    """A path. ``existing``: it must be that of a file."""

    existing: bool = False
    needed = "a path"

    @property
    def metavar(self) -> str:
        """The placeholder of a file or a path."""
        return "FILE" if self.existing else "PATH"

    def parse(self, text: str) -> Path:
        """The path. Raises ``ValueError`` where it is empty, or the file must exist and does not."""
        if self.existing and not Path(not_empty(text)).is_file():
            raise ValueError("no such file")
        return Path(not_empty(text))


@dataclass(frozen=True)
class Parsed(Kind[Value]):
    """A value that the function ``read`` parses; ``written`` is its inverse.

    ``read`` raises ``ValueError`` with a message that names the valid values.
    """

    read: Callable[[str], Value]
    placeholder: str
    expected: str
    written: Callable[[Value], str] = str

    @property
    def needed(self) -> str:
        """The declared description."""
        return self.expected

    @property
    def metavar(self) -> str:
        """The declared placeholder."""
        return self.placeholder

    def parse(self, text: str) -> Value:
        """The function's result. Raises what it raises."""
        return self.read(text)

    def show(self, value: Value) -> str:
        """The text by the inverse function."""
        return self.written(value)


@dataclass(frozen=True)
class Many(Kind[tuple[Value, ...]]):
    """Values of one kind.

    On a command line the option is repeatable; in one text the values are separated by
    ``separator`` (None: white space).
    """

    each: Kind[Value]
    separator: str | None = ","

    @property
    def needed(self) -> str:
        """That of each value."""
        return self.each.needed

    @property
    def metavar(self) -> str:
        """That of each value."""
        return self.each.metavar

    def parse(self, text: str) -> tuple[Value, ...]:
        """The values; blank parts are ignored. Raises ``ValueError`` for the first invalid one."""
        return tuple(self.each.parse(part.strip()) for part in text.split(self.separator) if part.strip())

    def show(self, value: tuple[Value, ...]) -> str:
        """The values, joined by the separator."""
        return (self.separator or " ").join(self.each.show(part) for part in value)
