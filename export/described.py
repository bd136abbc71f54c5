"""The options that state what a model is for: ``--description`` and ``--limits``, of every command that makes a model file."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from vaccel_common.about import MAX_CHARS, About, sentence


class Sentence(click.ParamType[str]):
    """Plain text of one line, within the bound of ``about.json``."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text."""
        try:
            return sentence(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def described(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the two options, which the command gets as one argument, ``about``."""

    @click.option("--description", type=Sentence(), default="", help=f"What the model does, from which data. {_SHOWN}")
    @click.option("--limits", type=Sentence(), default="", help=f"Where it fails, and what it must not be used for. {_SHOWN}")
    @wraps(command)
    def with_about(*, description: str, limits: str, **others: Any) -> Any:
        return command(about=About(description, limits), **others)

    return with_about


_SHOWN = f"The function's page, GET / and the OpenAPI document show it; one line of at most {MAX_CHARS} characters."
