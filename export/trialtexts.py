"""The texts by which a variant is made and judged: ranges are measured on some, agreement on others."""

from __future__ import annotations

from pathlib import Path

import click
from tokenizers import Tokenizer

from export.refusal import Refused
from export.samples import made_up
from vaccel_common.textfile import read_lines

#: Number of texts that ranges are measured on, and that agreement is measured on.
CALIBRATION, TRIAL = 300, 1000


def chosen(tokenizer: Tokenizer, path: Path | None) -> tuple[list[str], list[str]]:
    """Texts to measure ranges on, and others to compare with: of a file in turns, or random words of the vocabulary.

    Raises `click.UsageError` where the file has fewer than two texts.
    """
    if path is None:
        return made_up(tokenizer, CALIBRATION, 1), made_up(tokenizer, TRIAL, 2)
    lines = [line for line in read_lines(path) if line.strip()]
    if len(lines) < 2:
        raise click.UsageError(f"{path}: at least two texts are needed")
    return lines[::2][:CALIBRATION], lines[1::2][:TRIAL]


def require(share: float, texts: int, least: float, label: str) -> None:
    """Raises `Refused` where less than the share ``least`` of the texts gets ``label``."""
    if share < least:
        raise Refused(f"not written: {share:.2%} of {texts} texts get {label}, and --least-agreement is {least:.2%}")
