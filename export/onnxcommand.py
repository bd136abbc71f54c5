"""``python -m models.export onnx``: an ONNX file that another tool wrote gets its extra files."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
from tokenizers import Tokenizer

from export import onnxform
from export.archive import extra_files
from export.checking import Expected, of_program
from export.configuration import Choices
from export.described import described
from export.foreign import ForeignModel, PlainSession, read_foreign
from export.forms import FileForm
from export.huggingface import DEFAULT_LONGEST, Folder, checked_pad, plain_tokenizer, read_folder
from export.labels import read_labels
from export.onnxfiles import file_in, parts_of
from export.options import FILE, ModelFolder, limited, paired
from export.outputs import require_other
from export.pairs import NOTES, refused_for, samples
from export.refusal import Refused, reading
from export.samples import untruncated, varied
from export.signatures import fitting
from export.writing import Limits, Source, require_form, write_checked
from function.core.texts import Pair, Text
from function.core.tokens import Encoder
from vaccel_common.about import About
from vaccel_common.commandline import PathType, ToolCommand
from vaccel_common.modelfile import PROBLEM_TYPES, Pairs, Signature, from_entries, parse_signature
from vaccel_rpc.tensors import to_values


def _unchanged(model: Any, _: dict[str, str]) -> Any:
    return model


FORMS = {".onnx": FileForm("ONNX", (_unchanged,), onnxform.save, onnxform.add_entry)}


@click.command(cls=ToolCommand, name="onnx")
@click.argument("source", type=ModelFolder(or_file=True), metavar="FOREIGN.onnx|FOLDER")
@click.option("--file", type=PathType(), help="Of a FOLDER with several ONNX files, the one to take.")
@click.option(
    "--tokenizer", type=FILE, help="tokenizer.json of a file; a FOLDER has its own, as transformers' AutoTokenizer builds it."
)
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
@click.option("-o", "--out", type=PathType(), required=True, help="NAME.onnx")
@paired
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
    pairs: Pairs | None,
    out: Path,
    allow_difference: float,
    about: About,
) -> None:
    """A model file from an ONNX file that another tool wrote.

    FOREIGN.onnx takes input_ids, and may take attention_mask and token_type_ids; it gives logits. A
    FOLDER, as optimum writes it, has the tokenizer and config.json beside it. Weights in files beside
    it are taken in. The file is compared with what onnxruntime computes of the graph without
    optimizations.
    """
    require_form(out, forms=FORMS)
    require_other(out, *parts_of(file_in(source, file) if source.is_dir() else source))
    choices = Choices(max_length, problem_type, read_labels(labels), pad_id)
    if source.is_dir():
        if tokenizer:
            raise click.UsageError("--tokenizer is for a file alone: a FOLDER has a tokenizer of its own")
        parts = _of_folder(source, file, choices)
    else:
        if file:
            raise click.UsageError(f"--file is for a FOLDER with several files, and {source} is a file")
        parts = _of_file(source, tokenizer, choices)
    limits = Limits(difference=allow_difference)
    if parts.folder and pairs and pairs != "refused" and _pairs(parts, out) == "refused":
        raise Refused("the tokenizer tells the second text of a pair by token_type_ids, which the graph does not take")
    right = pairs or _pairs(parts, out)
    try:
        _write(parts, right, NOTES[right], out, about, limits)
    except Refused as error:
        if pairs or right == "refused":
            raise
        _write(parts, "refused", refused_for(error), out, about, limits)


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

    def signature(self, out: Path, pairs: Pairs | None) -> str:
        """``signature.json`` of the file ``out``."""
        return self.graph.signature(out.stem, self.problem_type, self.max_length, len(self.labels), self.pad, pairs)


def _of_folder(source: Path, file: Path | None, choices: Choices) -> _Parts:
    graph = read_foreign(file_in(source, file))
    fitted = replace(choices, max_length=fitting(choices.max_length, graph.length, "graph"))
    folder = read_folder(source, fitted, weights=False)
    return _Parts(graph, folder.tokenizer_json(), folder.labels, folder.problem_type, folder.max_length, folder.pad, folder)


def _of_file(source: Path, tokenizer: Path | None, choices: Choices) -> _Parts:
    if tokenizer is None or choices.labels is None:
        beside = source.parent.parent if source.parent.name == "onnx" else source.parent
        given = (
            f". {beside} has a config.json: 'models.export onnx {beside} --file {source.relative_to(beside)}' takes all from it"
        )
        raise click.UsageError(
            f"{source} needs --tokenizer tokenizer.json and --labels labels.json: a file has neither"
            f"{given if (beside / 'config.json').is_file() else ''}"
        )
    graph = read_foreign(source)
    longest = fitting(choices.max_length, graph.length, "graph") or DEFAULT_LONGEST
    with reading(tokenizer, "a tokenizer.json"):
        read = Tokenizer.from_file(str(tokenizer))
    pad = checked_pad(choices.pad_id or 0, read, "--pad-id")
    problem_type = choices.problem_type or PROBLEM_TYPES[0]
    return _Parts(graph, plain_tokenizer(read, longest), choices.labels, problem_type, longest, pad)


def _pairs(parts: _Parts, out: Path) -> Pairs:
    """Refused where the tokenizer tells the second text of a pair, and the graph does not see it though its family does."""
    if parts.folder and "token_type_ids" not in inspect.signature(parts.folder.model.forward).parameters:
        return "allowed"
    return Encoder(parts.tokenizer, parse_signature(parts.signature(out, None))).pairs


def _write(parts: _Parts, pairs: Pairs, said: str, out: Path, about: About, limits: Limits) -> None:
    graph, folder = parts.graph, parts.folder
    extras = extra_files(parts.tokenizer, parts.labels, parts.signature(out, pairs), about)
    dropped = [f"its outputs {', '.join(graph.dropped)} are left out"] if graph.dropped else []
    fixed = [f"the graph takes {graph.length} tokens, to which each text is padded"] if graph.length else []
    notes = [*(folder.notes if folder else ()), *fixed, said, *dropped]
    write_checked(Source(graph.model, _expected(graph, extras, folder, pairs), limits, FORMS), out, extras, notes=notes)


def _expected(graph: ForeignModel, extras: dict[str, str], folder: Folder | None, pairs: Pairs) -> Expected:
    """The answers of the graph itself; from a folder, to the encodings that its tokenizer gives."""
    parsed = from_entries({name: text.encode() for name, text in extras.items()})
    signature = parse_signature(extras["signature.json"])
    longest = signature.max_length or DEFAULT_LONGEST
    texts = samples(varied(untruncated(extras["tokenizer.json"]), longest), pairs)
    if folder is not None:
        _require_same(Encoder(parsed.tokenizer or b"", signature), signature, folder, texts)
    session = PlainSession(graph.model, signature)
    return of_program(session, parsed, texts, f"the graph itself{', not optimized' if session.is_plain else ''}")


def _require_same(encoder: Encoder, signature: Signature, folder: Folder, texts: Sequence[Text]) -> None:
    """Raises `Refused` where the function encodes a text otherwise than the folder's tokenizer does."""
    for text, ours in zip(texts, encoder.encode(texts), strict=True):
        both = tuple(text) if isinstance(text, Pair) else (text,)
        right = folder.tokenizer(*both, truncation=True, max_length=signature.max_length)
        for spec, tensor in zip(signature.inputs, ours.windows[0], strict=True):
            # What the tokenizer does not give are zeros, as other tools have it.
            values = list(right.get(spec.name, [0] * len(right["input_ids"])))
            got = [int(value) for value in to_values(tensor)]
            if got[: len(values)] != values:
                raise Refused(
                    f"the tokenizer in the file gives other {spec.name} than AutoTokenizer, for example for {str(text)[:60]!r}"
                )
