"""Options, each declared once as a dataclass field, from which everything else is derived.

A program's settings are a frozen dataclass whose fields are `option` s::

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        threads: int = option(Integer(1, 1024), 128, variables=("THREADS",), help="Workers.")

`declared` lists them, `from_variables` reads them from an environment, `vaccel_common.commandline`
derives a command line, ``scripts/options.py`` docs/options.md, and the function's OpenAPI document
its parameters.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, overload

from vaccel_common.kinds import Kind, Value

_KEY = "option"


class ConfigError(ValueError):
    """An option or a combination of options is invalid, as the message says."""


@dataclass(frozen=True)
class Option:
    """One option as it was declared.

    ``variables``: environment variables; the first one that is set and not empty counts. ``flags``:
    on a command line, where they differ from the field's name. ``shown``: the default in words,
    where it is computed or means "none".
    """

    kind: Kind[Any]
    help: str
    choose: str = ""
    variables: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    shown: str = ""
    required: bool = False
    name: str = ""
    default: Any = None

    @property
    def flag(self) -> str:
        """Its long name on a command line: ``--max-batch``."""
        return self.flags[-1] if self.flags else "--" + self.name.replace("_", "-")

    @property
    def description(self) -> str:
        """What it does and how to choose its value."""
        return f"{self.help} {self.choose}" if self.choose else self.help

    @property
    def default_text(self) -> str:
        """The default as a user would write it, or in words; empty where there is none."""
        return self.shown or ("" if self.default is None else self.kind.show(self.default))


@overload
def option(kind: Kind[Value], default: Value, *, help: str, choose: str = "", variables: tuple[str, ...] = (),
           flags: tuple[str, ...] = (), shown: str = "") -> Value: ...  # fmt: skip
@overload
def option(kind: Kind[Value], default: None = None, *, help: str, choose: str = "", variables: tuple[str, ...] = (),
           flags: tuple[str, ...] = (), shown: str = "") -> Value | None: ...  # fmt: skip
def option(kind: Any, default: Any = None, *, help: str, choose: str = "", variables: tuple[str, ...] = (),  # noqa: A002 as click's
           flags: tuple[str, ...] = (), shown: str = "") -> Any:  # fmt: skip
    """A dataclass field that declares an option; see `Option`.

    ``help``: what it does. ``choose``: when to change it, and to what.
    """
    return dataclasses.field(default=default, metadata={_KEY: Option(kind, help, choose, variables, flags, shown)})


def required(kind: Kind[Value], *, help: str, flags: tuple[str, ...] = ()) -> Value:  # noqa: A002 as click's
    """A field that declares a required option."""
    declaration = Option(kind, help, flags=flags, required=True)
    return dataclasses.field(metadata={_KEY: declaration})  # type: ignore[no-any-return]


def declared(settings: type[Any], prefix: str = "") -> list[Option]:
    """The options of a settings class in order, with names and defaults.

    With a ``prefix``, an option without variables gets one from its flag: ``PREFIX_MAX_BATCH``.
    """
    options = [
        dataclasses.replace(field.metadata[_KEY], name=field.name, default=_default(field))
        for field in dataclasses.fields(settings)
        if _KEY in field.metadata
    ]
    return [_with_variable(option, prefix) for option in options] if prefix else options


def _default(field: dataclasses.Field[Any]) -> Any:
    return None if field.default is dataclasses.MISSING else field.default


def _with_variable(option: Option, prefix: str) -> Option:
    variable = prefix + option.flag.lstrip("-").replace("-", "_").upper()
    return option if option.variables else dataclasses.replace(option, variables=(variable,))


def from_variables(settings: type[Any], env: Mapping[str, str]) -> dict[str, Any]:
    """The values that ``env`` sets, by field. Raises `ConfigError`, which names the variable."""
    values: dict[str, Any] = {}
    for option in declared(settings):
        variable = next((name for name in option.variables if env.get(name)), None)
        if variable is None:
            continue
        try:
            values[option.name] = option.kind.parse(env[variable])
        except ValueError as error:
            raise ConfigError(f"{variable}={env[variable]}: {error}") from None
    return values
