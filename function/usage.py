"""``python -m function --help``: the variables, made from the settings that declare them."""

from __future__ import annotations

import textwrap

from function.config import FunctionConfig
from vaccel_common.options import Option, declared

_INDENT, _WIDTH = 26, 100


def usage() -> str:
    """What the function is, and every variable with its meaning, bounds, default and how to choose it."""
    head = "Usage: python -m function\n\nServes POST /classify over HTTP. It has no options; the environment sets it:\n"
    return "\n".join([head, *(_entry(option) for option in declared(FunctionConfig))])


def _entry(option: Option) -> str:
    default = f" [default: {option.default_text}]" if option.default_text else ""
    bounds = f" Takes {option.kind.needed}." if option.kind.bounded else ""
    text = option.description + bounds + default
    lines = textwrap.wrap(text, _WIDTH - _INDENT, break_long_words=False, break_on_hyphens=False)
    name = f"  {option.variables[0]}"
    first = f"{name:<{_INDENT}}{lines[0]}"
    return "\n".join([first, *(" " * _INDENT + line for line in lines[1:])])
