"""``python -m models.export onnx``: an ONNX file that another tool wrote gets its extra files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
from tokenizers import Tokenizer

from export import onnxform
from export.archive import extra_files
from export.checking import Expected, of_program
from export.described import described
from export.foreign import ForeignModel, PlainSession, file_in, read_foreign
from export.forms import FileForm
from export.huggingface import DEFAULT_LONGEST, Choices, Folder, plain_tokenizer, read_folder
from export.options import FILE, limited, read_labels
from export.samples import untruncated, varied
from export.writing import Limits, Source, require_form, write_checked
from vaccel_common.about import About
from vaccel_common.commandline import ToolCommand
from vaccel_common.modelfile import PROBLEM_TYPES, from_entries


def _unchanged(model: Any, _: dict[str, str]) -> Any:
    return model


FORMS = {".onnx": FileForm("ONNX", (_unchanged,), onnxform.save, onnxform.add_entry)}


@click.command(cls=ToolCommand, name="onnx")
@click.argument("source", type=click.Path(exists=True, path_type=Path), metavar="FOREIGN.onnx|FOLDER")
@click.option("--file", type=FILE, help="Of a FOLDER with several ONNX files, the one to take.")
@click.option("--tokenizer", type=FILE, help="tokenizer.json. [of a FOLDER: as transformers' AutoTokenizer]")
@click.option(
    "--labels", type=FILE, help="A JSON list of names; the index is the class id. [of a FOLDER: id2label in config.json]"
)
@click.option(
    "--problem-type",
    type=click.Choice(PROBLEM_TYPES),
    help="How logits become scores. [default: softmax; of a FOLDER: as config.json says]",
)
@click.option(
    "--max-length",
    type=click.IntRange(1),
    help="Maximum tokens of a text. [default: 512; of a FOLDER: the model's limit, at most 512]",
)
@click.option("--pad-id", type=int, help="Token id of padding. [default: 0; of a FOLDER: as config.json, else the tokenizer]")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="NAME.onnx")
@described
@limited
def onnx_file(
    source: Path,
    file: Path | None,
    tokenizer: Path | None,
    labels: Path | None,
    problem_type: str | None,
    max_length: int | None,
    pad_id: int | None,
    out: Path,
    allow_difference: float,
    about: About,
) -> None:
    """A model file from an ONNX file that another tool wrote.

    FOREIGN.onnx takes input_ids, and may take attention_mask and token_type_ids; it gives logits. A
    FOLDER, as optimum writes it, has the tokenizer and config.json beside it. The file is compared
    with what onnxruntime computes of the graph without optimizations.
    """
    require_form(out, forms=FORMS)
    choices = Choices(max_length, problem_type, read_labels(labels), pad_id)
    parts = _of_folder(source, file, choices) if source.is_dir() else _of_file(source, tokenizer, choices)
    graph = parts.graph
    signature = graph.signature(out.stem, parts.problem_type, parts.max_length, len(parts.labels), parts.pad)
    extras = extra_files(parts.tokenizer, parts.labels, signature, about)
    dropped = [f"its outputs {', '.join(graph.dropped)} are left out"] if graph.dropped else []
    notes = [*(parts.folder.notes if parts.folder else ()), *dropped]
    limits = Limits(difference=allow_difference)
    write_checked(Source(graph.model, _expected(graph, extras, parts.folder), limits, FORMS), out, extras, notes=notes)


@dataclass(frozen=True)
class _Parts:
    """What makes a model file of a graph; ``folder``: where it is from one."""

    graph: ForeignModel
    tokenizer: bytes
    labels: Sequence[str]
    problem_type: str
    max_length: int
    pad: int
    folder: Folder | None = None


def _of_folder(source: Path, file: Path | None, choices: Choices) -> _Parts:
    folder = read_folder(source, choices, weights=False)
    graph = read_foreign(file or file_in(source))
    return _Parts(graph, folder.tokenizer_json(), folder.labels, folder.problem_type, folder.max_length, folder.pad, folder)


def _of_file(source: Path, tokenizer: Path | None, choices: Choices) -> _Parts:
    if tokenizer is None or choices.labels is None:
        raise click.UsageError(f"{source} needs --tokenizer tokenizer.json and --labels labels.json: a file has neither")
    longest, problem_type = choices.max_length or DEFAULT_LONGEST, choices.problem_type or PROBLEM_TYPES[0]
    text = plain_tokenizer(Tokenizer.from_file(str(tokenizer)), longest)
    return _Parts(read_foreign(source), text, choices.labels, problem_type, longest, choices.pad_id or 0)


def _expected(graph: ForeignModel, extras: dict[str, str], folder: Folder | None) -> Expected:
    """The answers of the graph itself, to the tokens that the folder's tokenizer gives."""
    parsed = from_entries({name: text.encode() for name, text in extras.items()})
    signature = parsed.signature
    longest = (signature and signature.max_length) or DEFAULT_LONGEST
    texts = varied(untruncated(extras["tokenizer.json"]), longest)
    expected = of_program(PlainSession(graph.model, signature), parsed, texts, "the graph itself, not optimized")
    if folder is None:
        return expected
    tokens = [folder.tokenizer(text, truncation=True, max_length=longest)["input_ids"] for text in texts]
    return replace(expected, answers=[replace(answer, tokens=ids) for answer, ids in zip(expected.answers, tokens, strict=True)])
