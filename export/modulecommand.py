"""``python -m models.export torchscript`` and ``torchexport``: a program without tokenizer and labels gets them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click
from tokenizers import Tokenizer

from export.archive import SOURCES, extra_files
from export.described import described
from export.forms import FileForm, listed
from export.huggingface import DEFAULT_LONGEST, checked_pad, plain_tokenizer
from export.labels import read_labels
from export.modules import write_module
from export.options import FILE, limited
from export.outputs import require_other
from export.programs import EXPORT_FORMS, SCRIPT_FORMS, BareModule, Input, read_torchexport, read_torchscript
from export.refusal import Refused, reading
from export.signatures import fitting, signature_of
from export.writing import Limits, require_form
from vaccel_common.about import About
from vaccel_common.commandline import PathType, ToolCommand
from vaccel_common.modelfile import PROBLEM_TYPES, parse_signature


@dataclass(frozen=True)
class _Options:
    """What both commands are told."""

    tokenizer: Path
    labels: Path
    signature: Path | None
    problem_type: str
    max_length: int | None
    pad: int
    about: About
    out: Path
    allow_difference: float


def _taking(forms: Mapping[str, FileForm]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Adds the options of both commands; ``forms``: what can be written."""
    options = (
        click.option("--tokenizer", type=FILE, required=True, help="tokenizer.json (Hugging Face tokenizers)."),
        click.option("--labels", type=FILE, required=True, help="A JSON list of names; the index is the class id."),
        click.option(
            "--signature",
            type=FILE,
            help="signature.json. [default: the names of forward's inputs, else input_ids, attention_mask, token_type_ids "
            "in that order; int64 [n, t]]",
        ),
        click.option(
            "--problem-type",
            type=click.Choice(PROBLEM_TYPES),
            default=PROBLEM_TYPES[0],
            show_default=True,
            help="How logits become scores.",
        ),
        click.option(
            "--max-length",
            type=click.IntRange(1),
            help=f"Maximum tokens of a text. [default: {DEFAULT_LONGEST}, or the fewer that a .pt2 takes]",
        ),
        click.option("--pad", type=click.IntRange(0), default=0, show_default=True, help="Token id of padding."),
        click.option("-o", "--out", type=PathType(), required=True, help=listed([f"NAME{suffix}" for suffix in forms])),
        described,
        limited,
    )

    def added(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return added


@click.command(cls=ToolCommand)
@click.argument("module", type=FILE)
@_taking(SCRIPT_FORMS)
def torchscript(module: Path, **options: Any) -> None:
    """A model file from a bare TorchScript MODULE, whose weights stay unchanged."""
    _write(module, read_torchscript, SCRIPT_FORMS, _Options(**options))


@click.command(cls=ToolCommand)
@click.argument("program", type=FILE)
@_taking(EXPORT_FORMS)
def torchexport(program: Path, **options: Any) -> None:
    """A model file from a bare PROGRAM of torch.export (.pt2), whose weights stay unchanged.

    It is loaded only if it holds weights and a graph of torch's own operators.
    """
    _write(program, read_torchexport, EXPORT_FORMS, _Options(**options))


def _write(path: Path, read: Callable[[Path], BareModule], forms: Mapping[str, FileForm], options: _Options) -> None:
    out = options.out
    require_form(out, forms=forms)
    require_other(out, path)
    names = read_labels(options.labels) or []
    with reading(options.tokenizer, "a tokenizer.json"):
        tokenizer = Tokenizer.from_file(str(options.tokenizer))
    bare = read(path)
    fitted = fitting(options.max_length, bare.longest, "program")
    longest = options.max_length or min(fitted or DEFAULT_LONGEST, DEFAULT_LONGEST)
    if options.signature:
        signature = options.signature.read_text()
        _check_order(signature, [each.name for each in bare.inputs], path)
    else:
        pad = checked_pad(options.pad, tokenizer, "--pad")
        inputs = [asdict(each) for each in _named(bare.inputs, path)]
        output = {"name": "logits", "dtype": "float32", "dims": (bare.texts, len(names))}
        signature = signature_of(out.stem, options.problem_type, longest, inputs, output, pad)
    extras = extra_files(plain_tokenizer(tokenizer, longest), names, signature, options.about)
    if bare.length:
        click.echo(f"the program takes {bare.length} tokens, to which each text is padded")
    write_module(bare.module, out, extras, Limits(False, options.allow_difference), path.name, forms=forms)


def _named(inputs: Sequence[Input], path: Path) -> Sequence[Input]:
    """What ``forward`` takes: by its names, else in the order of classifiers of texts, which a line says.

    Raises `Refused` where a name says something else.
    """
    named = [each.name for each in inputs]
    if named and set(named) <= set(SOURCES):
        return inputs
    usual = tuple(SOURCES)[: len(named)]
    if foreign := [each.name for each in inputs if not each.tensors]:
        raise Refused(f"{path}: forward takes {', '.join(foreign)}, which the function does not have: it must do without")
    if not 1 <= len(named) <= len(SOURCES) or any(name not in each.tensors for each, name in zip(inputs, usual, strict=True)):
        raise Refused(
            f"{path}: forward takes {', '.join(named) or 'nothing'}; say in a signature.json (--signature) which of "
            f"{', '.join(SOURCES)} each is"
        )
    click.echo(f"inputs: {', '.join(usual)}, in that order (forward calls them {', '.join(named)})")
    return [replace(each, name=name) for each, name in zip(inputs, usual, strict=True)]


def _check_order(text: str, named: Sequence[str], module: Path) -> None:
    """Raises `Refused` where a signature has the inputs of ``forward`` in another order."""
    stated = [spec.name for spec in parse_signature(text).inputs]
    if stated != list(named) and sorted(stated) == sorted(named):
        raise Refused(f"{module}: forward takes {', '.join(named)} in that order, and the signature has {', '.join(stated)}")
