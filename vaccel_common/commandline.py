"""Derives a click command's options from a settings class (`vaccel_common.options`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from vaccel_common.kinds import Choice, Flag, Kind, Many
from vaccel_common.options import Option, declared

Command = TypeVar("Command", bound=Callable[..., Any])


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
            self.fail(message if message.startswith(repr(value)) else f"{value!r}: {message}", param, ctx)


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
