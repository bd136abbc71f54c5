"""Derives a click command's options from a settings class (`vaccel_common.options`), and ends it
with one line and an exit code, whatever fails.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from vaccel_common import streams
from vaccel_common.kinds import Choice, Flag, Kind, Many, not_empty
from vaccel_common.log import escaped
from vaccel_common.missing import INTERRUPTED as INTERRUPTED
from vaccel_common.modelfile import ModelFileError
from vaccel_common.options import Option, declared
from vaccel_common.textfile import TextFileError

Command = TypeVar("Command", bound=Callable[..., Any])


class _OneLine(click.Command):
    """A command whose failures are one line on standard error and an exit code.

    Beside click's own errors these are a file that cannot be read or is not what it should be, a
    standard output that is full, broken or closed, and an interrupt.
    """

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Runs the command and exits."""
        run = functools.partial(super().main, args, prog_name, complete_var, False, **extra)
        if not standalone_mode:
            return run()
        streams.prepare()
        try:
            code: Any = run()
            sys.stdout.flush()
        except click.Abort as error:
            interrupted = isinstance(error.__cause__, KeyboardInterrupt)
            code = _told("interrupted" if interrupted else "aborted", INTERRUPTED if interrupted else 1)
        except click.ClickException as error:
            try:
                error.show()
            except OSError:
                streams.give_up_errors()
            code = error.exit_code
        except BrokenPipeError:
            # Whoever read the output has had enough.
            code = 1
        except OSError as error:
            code = _told(streams.reason(error), 1)
        except (ModelFileError, TextFileError) as error:
            code = _told(str(error), 1)
        streams.end_output()
        sys.exit(code if isinstance(code, int) else 0)


class ToolCommand(_OneLine):
    """A program of one command."""


class ToolGroup(_OneLine, click.Group):
    """A program of several commands."""


def _told(reason: str, code: int) -> int:
    streams.tell(f"Error: {escaped(reason)}")
    return code


class KindType(click.ParamType[Any]):
    """A kind of `vaccel_common.kinds` as click's type."""

    def __init__(self, kind: Kind[Any]) -> None:
        self.kind = kind.each if isinstance(kind, Many) else kind
        self.name = self.kind.metavar
        self._separator = kind.separator if isinstance(kind, Many) else None

    def split_envvar_value(self, rv: str) -> list[str]:
        """The values in an environment variable's text."""
        return [part for part in rv.split(self._separator) if part]

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The value. Raises ``click.BadParameter``, which names the valid values."""
        if not isinstance(value, str):
            return value
        try:
            return self.kind.parse(value)
        except ValueError as error:
            # An address's error begins with the text already.
            message = str(error)
            self.fail(message if not value or message.startswith(repr(value)) else f"{value!r}: {message}", param, ctx)


class PathType(click.Path):
    """click's type of a `Path` that is not empty. ``checks``: as click's, such as ``exists``."""

    def __init__(self, **checks: bool) -> None:
        super().__init__(**checks, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path. Raises ``click.BadParameter``."""
        try:
            not_empty(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return super().convert(value, param, ctx)


def options(settings: type[Any], *, prefix: str = "") -> Callable[[Command], Command]:
    """A decorator that adds every option of ``settings`` to a command, in order.

    The command gets keyword arguments with the fields' names. ``prefix``: see
    `vaccel_common.options.declared`.
    """

    def decorate(command: Command) -> Command:
        for option in reversed(declared(settings, prefix)):
            command = _decorated(option, command)
        return command

    return decorate


def _decorated(option: Option, command: Command) -> Command:
    kind = option.kind
    details: dict[str, Any] = {"help": _help(option), "required": option.required}
    if isinstance(kind, Flag):
        details |= {"is_flag": True, "default": option.default}
    elif isinstance(kind, Many):
        texts = [kind.each.show(value) for value in option.default]
        details |= {"type": KindType(kind), "multiple": True, "metavar": kind.metavar, "default": texts}
    elif isinstance(kind, Choice):
        details |= {"type": click.Choice(kind.words)} | ({} if option.default is None else {"default": option.default})
    else:
        details |= {"type": KindType(kind), "metavar": kind.metavar}
        if option.default is not None:
            details["default"] = kind.show(option.default)
    if option.variables:
        details |= {"envvar": option.variables, "show_envvar": True}
    if option.shown:
        details["show_default"] = option.shown
    return click.option(*(option.flags or (option.flag,)), option.name, **details)(command)


def _help(option: Option) -> str:
    # click shows the words of a choice as its placeholder.
    bounds = f" Takes {option.kind.needed}." if option.kind.bounded and not isinstance(option.kind, Choice) else ""
    return option.description + bounds
