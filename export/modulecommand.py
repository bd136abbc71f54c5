"""``python -m models.export torchscript``: a module without tokenizer and labels gets them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import torch
from tokenizers import Tokenizer

from export.archive import SOURCES, extra_files
from export.described import described
from export.huggingface import checked_pad, plain_tokenizer
from export.labels import read_labels
from export.modules import write_module
from export.options import FILE, limited
from export.outputs import require_other
from export.refusal import Refused, reading
from export.signatures import classifier_signature
from export.writing import Limits
from vaccel_common.about import About
from vaccel_common.commandline import PathType, ToolCommand
from vaccel_common.modelfile import PROBLEM_TYPES, parse_signature


@click.command(cls=ToolCommand)
@click.argument("module", type=FILE)
@click.option("--tokenizer", type=FILE, required=True, help="tokenizer.json (Hugging Face tokenizers).")
@click.option("--labels", type=FILE, required=True, help="A JSON list of names; the index is the class id.")
@click.option(
    "--signature",
    type=FILE,
    help="signature.json. [default: the names of forward's inputs, else input_ids, attention_mask, token_type_ids in that order; "
    "int64 [n, t]]",
)
@click.option(
    "--problem-type",
    type=click.Choice(PROBLEM_TYPES),
    default=PROBLEM_TYPES[0],
    show_default=True,
    help="How logits become scores.",
)
@click.option("--max-length", type=click.IntRange(1), default=512, show_default=True, help="Maximum tokens of a text.")
@click.option("--pad", type=click.IntRange(0), default=0, show_default=True, help="Token id of padding.")
@click.option("-o", "--out", type=PathType(), required=True, help="NAME.pt")
@described
@limited
def torchscript(
    module: Path,
    tokenizer: Path,
    labels: Path,
    signature: Path | None,
    problem_type: str,
    max_length: int,
    pad: int,
    about: About,
    out: Path,
    allow_difference: float,
) -> None:
    """A model file from a bare TorchScript MODULE, whose weights stay unchanged."""
    require_other(out, module)
    names = read_labels(labels) or []
    with reading(tokenizer, "a tokenizer.json"):
        read = Tokenizer.from_file(str(tokenizer))
    with reading(module, "a TorchScript file"):
        program = torch.jit.load(str(module))
    named = _named_inputs(program)
    if signature:
        text = signature.read_text()
        _check_order(text, named, module)
    else:
        inputs, checked = _inputs(named, module), checked_pad(pad, read, "--pad")
        text = classifier_signature(out.stem, problem_type, max_length, len(names), inputs=inputs, pad=checked)
    extras = extra_files(plain_tokenizer(read, max_length), names, text, about)
    write_module(program, out, extras, Limits(False, allow_difference), module.name)


def _named_inputs(program: torch.jit.ScriptModule) -> list[str]:
    """What the module's ``forward`` calls its inputs."""
    forward: Any = program.forward
    first, *others = [argument.name for argument in forward.schema.arguments]
    return others if first == "self" else [first, *others]


def _inputs(named: Sequence[str], module: Path) -> tuple[str, ...]:
    """The tensors that ``forward`` takes: by their names, else in the order of classifiers of texts, which a line says.

    Raises `Refused` where some names are known and at other places.
    """
    if named and set(named) <= set(SOURCES):
        return tuple(named)
    usual = tuple(SOURCES)[: len(named)]
    misplaced = [name for name, other in zip(named, usual, strict=False) if name in SOURCES and name != other]
    if not 1 <= len(named) <= len(SOURCES) or misplaced:
        raise Refused(
            f"{module}: forward takes {', '.join(named) or 'nothing'}; say in a signature.json (--signature) which of "
            f"{', '.join(SOURCES)} each is"
        )
    click.echo(f"inputs: {', '.join(usual)}, in that order (forward calls them {', '.join(named)})")
    return usual


def _check_order(text: str, named: Sequence[str], module: Path) -> None:
    """Raises `Refused` where a signature has the inputs of ``forward`` in another order."""
    stated = [spec.name for spec in parse_signature(text).inputs]
    if stated != list(named) and sorted(stated) == sorted(named):
        raise Refused(f"{module}: forward takes {', '.join(named)} in that order, and the signature has {', '.join(stated)}")
