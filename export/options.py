"""Options that several commands of ``python -m models.export`` share, and what their values are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from export.checking import LIMIT
from vaccel_common.commandline import KindType, PathType
from vaccel_common.modelfile import PAIRS
from vaccel_common.number_kinds import Number

FOLDER = PathType(exists=True, file_okay=False)
FILE = PathType(exists=True, dir_okay=False)


class ModelFolder(PathType):
    """A folder, or a file where ``or_file``; the error for anything else says how to get one from the Hugging Face hub."""

    def __init__(self, *, or_file: bool = False) -> None:
        super().__init__(file_okay=or_file)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path of the folder."""
        if value and not (Path(value).is_dir() or (self.file_okay and Path(value).is_file())):
            self.fail(
                f"{value} is {'neither a file nor' if self.file_okay else 'not'} a folder. A model of the Hugging Face hub is downloaded first: "
                f"pip install huggingface_hub && hf download {value} --local-dir {Path(value).name}",
                param,
                ctx,
            )
        return super().convert(value, param, ctx)


def limited(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the option of all commands that check a program."""
    return click.option(
        "--allow-difference",
        type=KindType(Number(0)),
        default=LIMIT,
        show_default=True,
        help="Write the file although scores differ by up to this, 0 or more, from those of the model that it is made of.",
    )(command)


def writes(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options of all commands that choose the form and the weights of a program."""
    weights = click.option(
        "--half/--full",
        default=None,
        help="Store 16-bit or 32-bit weights (.pt; others have 32-bit ones). [default: 16-bit where no score changes by more than 1e-4]",
    )
    out = click.option(
        "-o",
        "--out",
        type=PathType(),
        required=True,
        help="NAME.pt (TorchScript), NAME.pt2 (torch.export) or NAME.onnx.",
    )
    return out(weights(limited(command)))


def paired(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the option of the commands that may say whether a text has a second one."""
    return click.option(
        "--pairs",
        type=click.Choice(PAIRS),
        help="Whether a text may, must or cannot have a second one, as for a cross-encoder. [default: allowed, where that is right]",
    )(command)
