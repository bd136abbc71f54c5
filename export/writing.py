"""Writes a classifier into a file that is checked first: nothing stays where a file would be wrong."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import torch

from export.checking import LIMIT, Expected, Verdict, check
from export.forms import FORMS, FileForm, Prepare, listed
from export.outputs import drafts, place, require_place
from export.quiet import quiet_streams
from export.refusal import Refused, one_line
from export.weights import stored


@dataclass(frozen=True)
class Limits:
    """What a user allows. ``half``: 16-bit weights; None: where no score changes by more than `LIMIT`.

    ``difference``: the largest difference of a score.
    """

    half: bool | None = None
    difference: float = LIMIT


@dataclass(frozen=True)
class Source:
    """What is written: a module, or another program of which ``forms`` are made; its right answers.

    ``original``: the sha256 of a file of which what is written is another form; ``variant.json``
    names it.
    """

    program: Any
    expected: Expected
    limits: Limits = Limits()
    forms: Mapping[str, FileForm] = field(default_factory=lambda: FORMS)
    original: str | None = None


@dataclass(frozen=True)
class _Draft:
    """A file that was checked, but is not in its place yet.

    ``program``: what was saved in it, and may have been changed since; ``weights``: their type in the file.
    """

    path: Path
    verdict: Verdict
    extras: dict[str, str]
    program: Any
    weights: str


def require_form(out: Path, *, half: bool | None = None, forms: Mapping[str, FileForm] = FORMS) -> None:
    """Raises `Refused` unless the name has the suffix of a form that can have the weights, and a file can be there."""
    if out.suffix not in forms:
        raise Refused(f"--out {out}: the name must end in {listed(list(forms))}")
    if half and out.suffix != ".pt":
        raise Refused(f"--half: a {out.suffix} file has 32-bit weights; 16-bit ones need -o NAME.pt")
    require_place(out)


def write_checked(source: Source, out: Path, extras: dict[str, str], *, notes: Sequence[str] = ()) -> None:
    """Writes ``source`` in the form of ``out``'s suffix, checks it and prints the verdict.

    Raises `Refused` where the file would be wrong, and says which other forms would not be.
    """
    require_form(out, half=source.limits.half, forms=source.forms)
    draft, digest = _placed(source, out, extras)
    for note in notes:
        click.echo(note)
    if draft.verdict.batches == (1,):
        batched = json.loads(extras["signature.json"]).get("batch") is not None
        reason = "padding changes its answers" if batched else "it takes one text at a time"
        click.echo(f"{reason}, so the agent runs each text alone")
    click.echo(f"checked: {draft.verdict}")
    title = source.forms[out.suffix].title
    click.echo(f"{out}: {out.stat().st_size / 1e6:.1f} MB, {title}, {draft.weights} weights, sha256 {digest}")
    click.echo(f"{out.absolute()} is ready; next: {_next(out)}")


def _placed(source: Source, out: Path, extras: dict[str, str]) -> tuple[_Draft, str]:
    """Puts the checked file into its place; what it was as a draft, and its sha256."""
    with drafts(out) as folder:
        try:
            draft = _draft(source, folder / f"draft{out.suffix}", extras)
        except Refused as error:
            raise Refused(f"not written as {out.suffix}: {error.message}{_others(source, out, folder, extras)}") from None
        if out.suffix == ".pt" and source.limits.half is not False:
            draft = _halved(draft, source.expected, forced=source.limits.half is True)
        for name, entry in _entries(source, draft).items():
            source.forms[out.suffix].add_entry(draft.path, name, json.dumps(entry))
        return draft, place(draft.path, out)


def _entries(source: Source, draft: _Draft) -> dict[str, Any]:
    """What is known once the file was checked."""
    verdict = draft.verdict
    entries = {"verdict.json": verdict.json(draft.weights)}
    if source.original:
        agreement = round(1 - verdict.labels / verdict.texts, 4)
        entries["variant.json"] = {"of": source.original, "precision": "float32", "agreement": agreement, "texts": verdict.texts}
    return entries


def _next(out: Path) -> str:
    folder, name = shlex.quote(str(out.absolute().parent)), shlex.quote(out.stem if out.suffix == ".pt" else out.name)
    return f"vaccel-rpc-agent -a unix:///tmp/vaccel.sock --models {folder} --preload {name}"


def _others(source: Source, out: Path, folder: Path, extras: dict[str, str]) -> str:
    """What the error says of the other forms."""
    others = [suffix for suffix in source.forms if suffix != out.suffix]
    right = [suffix for suffix in others if _works(source, folder / f"other{suffix}", extras)]
    if right:
        return f"; as {listed(right, 'and')} it is right (-o {out.with_suffix(right[0]).name})"
    return f"; nor is it right as {listed(others)}" if others else ""


def _works(source: Source, path: Path, extras: dict[str, str]) -> bool:
    try:
        _draft(source, path, extras)
    except Refused:
        return False
    return True


def _draft(source: Source, path: Path, extras: dict[str, str]) -> _Draft:
    """The file with 32-bit weights, made in the first way that is right. Raises `Refused`."""
    *preferred, last = source.forms[path.suffix].prepare
    for prepare in preferred:
        try:
            return _prepared(source, prepare, path, extras)
        except Refused:
            continue
    return _prepared(source, last, path, extras)


def _prepared(source: Source, prepare: Prepare, path: Path, extras: dict[str, str]) -> _Draft:
    try:
        with quiet_streams():
            program = _program(source, prepare, extras)
            verdict, extras = _joined_or_alone(source, program, path, extras)
    except (Refused, OSError):
        raise  # a disk that is full for one form is so for all
    except Exception as error:  # noqa: BLE001 tracing raises many kinds
        raise _failure(error) from None
    if not verdict.scores <= source.limits.difference:
        raise Refused(f"{verdict}; the limit is {source.limits.difference:g} (--allow-difference)")
    return _Draft(path, verdict, extras, program, stored(program))


def _program(source: Source, prepare: Prepare, extras: dict[str, str]) -> Any:
    try:
        return prepare(source.program, extras)
    except OSError as error:
        # Python raises it for sources that it cannot read, too, which another form may not need.
        raise _failure(error) from None


def _failure(error: Exception) -> Refused:
    return Refused(f"tracing or writing it fails: {one_line(error)}")


def _joined_or_alone(source: Source, program: Any, path: Path, extras: dict[str, str]) -> tuple[Verdict, dict[str, str]]:
    """Writes the file; its verdict and its extras, without a batch dimension where padding changes answers."""
    save = source.forms[path.suffix].save
    save(program, path, extras)
    verdict = check(path, source.expected)
    signature = json.loads(extras["signature.json"])
    if verdict.batches == (1,) and signature.get("batch") is not None:
        extras = {**extras, "signature.json": json.dumps({**signature, "batch": None}, indent=1)}
        save(program, path, extras)
        verdict = check(path, source.expected)
    return verdict, extras


def _halved(full: _Draft, expected: Expected, *, forced: bool) -> _Draft:
    """The same with 16-bit weights where they are forced or change no score by more than `LIMIT`."""
    path = full.path.with_name("half.pt")
    halved = full.program.half()
    overflow = [
        name for name, value in halved.state_dict().items() if value.is_floating_point() and not torch.isfinite(value).all()
    ]
    try:
        if overflow:
            raise Refused(f"{overflow[0]} has values beyond the range of 16-bit numbers (65504)")
        FORMS[path.suffix].save(halved, path, full.extras)
        verdict = check(path, expected)
    except Refused as error:
        if forced:
            raise Refused(f"--half: {error.message}") from None
        return full
    if forced or (verdict.scores <= LIMIT and verdict.batches == full.verdict.batches):
        return _Draft(path, verdict, full.extras, halved, stored(halved))
    return full
