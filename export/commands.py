"""Puts a classifier into one model file: ``python -m models.export COMMAND``.

``checkpoint`` reads a checkpoint of ``models.train``, ``huggingface`` the folder of a Hugging Face
sequence classifier, ``torchscript`` a bare TorchScript module with its tokenizer and labels, and so does
``torchexport`` with a program of torch.export; ``onnx`` reads an ONNX file of another tool. ``tokenizer``
writes the small file for a function without a model file.
"""

from __future__ import annotations

import json
from pathlib import Path

import click
import torch
from tokenizers import Tokenizer

from export.archive import extra_files, loaded
from export.checking import of_pipeline
from export.configuration import Choices
from export.described import described
from export.huggingface import Folder, plain_tokenizer, read_folder
from export.labels import read_labels
from export.modulecommand import torchexport, torchscript
from export.modules import write_module
from export.onnxcommand import onnx_file
from export.options import FILE, FOLDER, ModelFolder, limited, paired, writes
from export.outputs import require_other
from export.pairs import refusing, samples, taking
from export.quiet import quiet_logs
from export.refusal import Refused, reading
from export.samples import untruncated, varied
from export.signatures import classifier_signature
from export.tokenizer import main as tokenizer_file
from export.writing import Limits, Source, require_form, write_checked
from training.network import from_state
from vaccel_common.about import About
from vaccel_common.commandline import PathType, ToolGroup
from vaccel_common.modelfile import PROBLEM_TYPES, Pairs


@click.group(cls=ToolGroup, help=__doc__)
@click.pass_context
def main(context: click.Context) -> None:
    """Writes model files; the help text is the module's docstring."""
    context.with_resource(quiet_logs())


@main.command()
@click.argument("folder", type=FOLDER)
@click.option("--max-length", type=click.IntRange(1), default=128, show_default=True, help="Maximum tokens of a text.")
@described
@writes
def checkpoint(folder: Path, max_length: int, about: About, out: Path, half: bool | None, allow_difference: float) -> None:
    """A model file from the checkpoint that models.train wrote into FOLDER."""
    require_other(out, folder / "state.pt")
    with reading(folder, "a folder that models.train wrote"):
        labels = json.loads((folder / "labels.json").read_text())
        config = (folder / "config.json").read_text()
        model = from_state(json.loads(config), torch.load(folder / "state.pt", weights_only=True))
        read = Tokenizer.from_file(str(folder / "tokenizer.json"))
    inputs = ("input_ids", "attention_mask")
    signature = classifier_signature(out.stem, "single_label_classification", max_length, len(labels), inputs=inputs, pad=0)
    tokenizer = plain_tokenizer(read, max_length)
    extras = extra_files(tokenizer, labels, signature, about)
    write_module(model, out, {**extras, "config.json": config}, Limits(half, allow_difference), "the checkpoint")


@main.command()
@click.argument("model", type=FILE)
@click.option("-o", "--out", type=PathType(), required=True, help="NAME.pt2")
@limited
def pt2(model: Path, out: Path, allow_difference: float) -> None:
    """A .pt2 file from a MODEL.pt that ``checkpoint`` wrote."""
    require_other(out, model)
    program, extras = loaded(model)
    extras.pop("variant.json", None)
    if "config.json" not in extras:
        raise click.UsageError(f"{model} has no config.json: only files that 'checkpoint' wrote can be converted to .pt2")
    write_module(
        from_state(json.loads(extras["config.json"]), program.state_dict()),
        out,
        extras,
        Limits(False, allow_difference),
        model.name,
    )


@main.command()
@click.argument("folder", type=ModelFolder())
@click.option("--max-length", type=click.IntRange(1), help="Maximum tokens of a text. [default: the model's limit, at most 512]")
@click.option(
    "--problem-type",
    type=click.Choice(PROBLEM_TYPES),
    help="How logits become scores: softmax, sigmoid, unchanged. [default: as transformers' pipeline]",
)
@click.option("--labels", type=FILE, help="A JSON list of names; the index is the class id. [default: id2label in config.json]")
@click.option("--pad-id", type=int, help="Token id of padding. [default: as config.json, else the tokenizer]")
@paired
@described
@writes
def huggingface(
    folder: Path,
    max_length: int | None,
    problem_type: str | None,
    labels: Path | None,
    pad_id: int | None,
    pairs: Pairs | None,
    about: About,
    out: Path,
    half: bool | None,
    allow_difference: float,
) -> None:
    """A model file from a Hugging Face sequence classifier.

    FOLDER holds config.json, the weights and the tokenizer. The file is compared with transformers'
    own pipeline, and not written where it differs.
    """
    require_form(out, half=half)
    choices, limits = Choices(max_length, problem_type, read_labels(labels), pad_id), Limits(half, allow_difference)
    source = read_folder(folder, choices)
    try:
        write_folder(taking(source, pairs or "allowed"), out, about, limits)
    except Refused as error:
        if pairs:
            raise
        # The attempt may have changed the weights, to 16 bits.
        write_folder(refusing(read_folder(folder, choices), error), out, about, limits)


def write_folder(source: Folder, out: Path, about: About, limits: Limits) -> None:
    """Writes the model of a folder, whose file is compared with transformers' pipeline. Raises `Refused`."""
    signature = classifier_signature(
        out.stem,
        source.problem_type,
        source.max_length,
        len(source.labels),
        inputs=source.inputs,
        pad=source.pad,
        pairs=source.pairs,
    )
    tokenizer = source.tokenizer_json()
    texts = varied(untruncated(tokenizer.decode()), source.max_length)
    expected = of_pipeline(source, samples(texts, source.pairs))
    extras = extra_files(tokenizer, source.labels, signature, about)
    write_checked(Source(source.module(), expected, limits), out, extras, notes=source.notes)


main.add_command(onnx_file)
main.add_command(tokenizer_file)
main.add_command(torchscript)
main.add_command(torchexport)

if __name__ == "__main__":
    main()
