"""Numbers on the command lines of the tools for models are finite."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from export.commands import main as export
from export.variants import main as variants
from training.seeds import main as seeds
from training.train import main as train


def _numbers(command: click.Command) -> Iterator[tuple[str, click.Option]]:
    """The options that take 0.5, or a part of 1 at least, and not a word."""
    for name, inner in command.commands.items() if isinstance(command, click.Group) else [(command.name or "", command)]:
        for option in inner.params:
            if isinstance(option, click.Option) and not option.is_flag and isinstance(option.default, float):
                yield f"{name} {option.opts[-1]}", option


OPTIONS = [pair for command in (export, variants, seeds, train) for pair in _numbers(command)]


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e999", "-1", "half"])
@pytest.mark.parametrize("option", [option for _, option in OPTIONS], ids=[name for name, _ in OPTIONS])
def test_every_number_is_finite_and_within_its_bounds(option: click.Option, text: str) -> None:
    """Of which comparisons with NaN are no part; the error says what is needed."""
    context = click.Context(click.Command("tool"))
    assert option.type_cast_value(context, "0.5") == 0.5
    with pytest.raises(click.BadParameter, match=r"a number, .* is needed"):
        option.type_cast_value(context, text)


def test_no_difference_is_not_a_number() -> None:
    """By the program itself: with the option's name and a usage error's exit code."""
    assert len(OPTIONS) >= 8
    done = CliRunner().invoke(export, ["checkpoint", ".", "-o", "x.pt", "--allow-difference", "nan"])
    assert "Invalid value for '--allow-difference': 'nan': a number, at least 0 is needed" in done.output
    assert done.exit_code == 2
