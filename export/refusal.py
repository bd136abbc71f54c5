"""The one error of the tools: a model that is refused, with the reason in one line."""

from __future__ import annotations

import click


class Refused(click.ClickException):
    """The model cannot be exported as asked; the message says why, and what would work."""


def one_line(error: BaseException) -> str:
    """An error's first line that says something, at most 200 characters, with its kind if it has none."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:200] if lines else type(error).__name__
