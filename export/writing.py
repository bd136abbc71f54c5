"""Writes a classifier into a file that is checked first: nothing stays where a file would be wrong."""

from __future__ import annotations

import io
import json
import shlex
import tempfile
import warnings
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import click
import torch
from torch import nn

from export.archive import add_entry, save_torchscript, traced, write_export
from export.checking import LIMIT, Expected, Verdict, check
from export.refusal import Refused, one_line
from export.tokenizer import write_digest

#: The forms of a program by suffix.
FORMS = {".pt": "TorchScript", ".pt2": "torch.export"}


@dataclass(frozen=True)
class Limits:
    """What a user allows. ``half``: 16-bit weights; None: where no score changes by more than `LIMIT`.

    ``difference``: the largest difference of a score.
    """

    half: bool | None = None
    difference: float = LIMIT


@dataclass(frozen=True)
class _Draft:
    """A file that was checked, but is not in its place yet; ``program``: its TorchScript."""

    path: Path
    verdict: Verdict
    extras: dict[str, str]
    program: nn.Module | None
    weights: str = "float32"


def require_form(out: Path, *, half: bool | None = None) -> None:
    """Raises `Refused` unless the name has the suffix of a form that can have the weights, and its folder exists."""
    if out.suffix not in FORMS:
        raise Refused(f"--out {out}: the name must end in .pt or .pt2")
    if half and out.suffix != ".pt":
        raise Refused("--half: a .pt2 file has 32-bit weights; 16-bit ones need -o NAME.pt")
    if not out.absolute().parent.is_dir():
        raise Refused(f"--out {out}: there is no folder {out.parent}")


def write_checked(
    module: nn.Module, out: Path, extras: dict[str, str], expected: Expected, limits: Limits, *, notes: Sequence[str] = ()
) -> None:
    """Writes ``module`` in the form of ``out``'s suffix, checks it and prints the verdict.

    Raises `Refused` where the file would be wrong, and says whether the other form would not be.
    """
    require_form(out, half=limits.half)
    try:
        draft, digest = _placed(module, out, extras, expected, limits)
    except OSError as error:
        raise Refused(f"--out {out}: {error.strerror or error}") from None
    for note in notes:
        click.echo(note)
    if draft.verdict.batches == (1,):
        click.echo("padding changes its answers, so the agent runs each text alone")
    click.echo(f"checked: {draft.verdict}")
    click.echo(f"{out}: {out.stat().st_size / 1e6:.1f} MB, {FORMS[out.suffix]}, {draft.weights} weights, sha256 {digest}")
    click.echo(f"{out.absolute()} is ready; next: {_next(out)}")


def _placed(module: nn.Module, out: Path, extras: dict[str, str], expected: Expected, limits: Limits) -> tuple[_Draft, str]:
    """Puts the checked file into its place; what it was as a draft, and its sha256."""
    with tempfile.TemporaryDirectory(dir=out.absolute().parent, prefix=".export-") as scratch:
        folder = Path(scratch)
        try:
            draft = _draft(module, folder / f"draft{out.suffix}", extras, expected, limits)
        except Refused as error:
            other = next(suffix for suffix in FORMS if suffix != out.suffix)
            works = _works(module, folder / f"other{other}", extras, expected, limits)
            hint = f"as {other} it is right (-o {out.with_suffix(other).name})" if works else f"nor is it right as {other}"
            raise Refused(f"not written as {out.suffix}: {error.message}; {hint}") from None
        if draft.program is not None and limits.half is not False:
            draft = _halved(draft.program, draft, expected, forced=limits.half is True)
        add_entry(draft.path, "verdict.json", json.dumps(draft.verdict.json(draft.weights)))
        draft.path.replace(out)
    return draft, write_digest(out)


def _next(out: Path) -> str:
    folder, name = shlex.quote(str(out.absolute().parent)), shlex.quote(out.stem)
    return f"vaccel-rpc-agent -a unix:///tmp/vaccel.sock --models {folder} --preload {name}"


def _works(module: nn.Module, path: Path, extras: dict[str, str], expected: Expected, limits: Limits) -> bool:
    try:
        _draft(module, path, extras, expected, limits)
    except Refused:
        return False
    return True


def _draft(module: nn.Module, path: Path, extras: dict[str, str], expected: Expected, limits: Limits) -> _Draft:
    """The file with 32-bit weights. Raises `Refused`."""
    program: nn.Module | None = None
    try:
        # Tracing warns of all that might vary, where the check finds what does, and torch.export prints
        # the program at which it failed.
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            if path.suffix == ".pt":
                program = traced(module, extras)
            verdict, extras = _joined_or_alone(program or module, path, extras, expected)
    except Refused:
        raise
    except Exception as error:  # noqa: BLE001 tracing raises many kinds
        raise Refused(f"tracing or writing it fails: {one_line(error)}") from None
    if not verdict.scores <= limits.difference:
        raise Refused(f"{verdict}; the limit is {limits.difference:g} (--allow-difference)")
    return _Draft(path, verdict, extras, program)


def _joined_or_alone(module: nn.Module, path: Path, extras: dict[str, str], expected: Expected) -> tuple[Verdict, dict[str, str]]:
    """Writes the file; its verdict and its extras, without a batch dimension where padding changes answers."""
    _save(module, path, extras)
    verdict = check(path, expected)
    signature = json.loads(extras["signature.json"])
    if verdict.batches == (1,) and signature.get("batch") is not None:
        extras = {**extras, "signature.json": json.dumps({**signature, "batch": None}, indent=1)}
        _save(module, path, extras)
        verdict = check(path, expected)
    return verdict, extras


def _halved(program: nn.Module, full: _Draft, expected: Expected, *, forced: bool) -> _Draft:
    """The same with 16-bit weights where they are forced or change no score by more than `LIMIT`."""
    path = full.path.with_name("half.pt")
    halved = program.half()
    overflow = [
        name for name, value in halved.state_dict().items() if value.is_floating_point() and not torch.isfinite(value).all()
    ]
    try:
        if overflow:
            raise Refused(f"{overflow[0]} has values beyond the range of 16-bit numbers (65504)")
        _save(halved, path, full.extras)
        verdict = check(path, expected)
    except Refused as error:
        if forced:
            raise Refused(f"--half: {error.message}") from None
        return full
    if forced or (verdict.scores <= LIMIT and verdict.batches == full.verdict.batches):
        return _Draft(path, verdict, full.extras, halved, "float16")
    return full


def _save(module: nn.Module, path: Path, extras: dict[str, str]) -> None:
    if path.suffix == ".pt":
        save_torchscript(module, path, extras)
    else:
        write_export(module, path, extras)
