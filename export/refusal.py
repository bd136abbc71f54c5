"""The one error of the tools: a model that is refused, with the reason in one line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import click

from vaccel_rpc.errors import RpcError


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
    """An error's first line that says something, with its kind if it has none; a library's is cut at 200 characters."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    # Our own errors are one line already, whose end may be the reason of a library.
    return lines[0] if isinstance(error, click.ClickException | RpcError) else lines[0][:200]
