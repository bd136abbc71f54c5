"""The one error of the tools: a model that is refused, with the reason in one line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import click


class Refused(click.ClickException):
    """The model cannot be exported as asked; the message says why, and what would work."""


@contextlib.contextmanager
def reading(path: Path, expected: str) -> Iterator[None]:
    """Raises `Refused`, with the file's name and what it is not, for whatever a library raises in this context.

    An ``OSError`` has its file's name already.
    """
    try:
        yield
    except (click.ClickException, OSError):
        raise
    except Exception as error:  # noqa: BLE001 libraries raise many kinds for a damaged file
        raise Refused(f"{path} is not {expected}: {one_line(error)}") from None


def one_line(error: BaseException) -> str:
    """An error's first line that says something, at most 200 characters, with its kind if it has none."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:200] if lines else type(error).__name__
