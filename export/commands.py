"""Puts a classifier into one model file: ``python -m models.export COMMAND``.

``checkpoint`` reads a checkpoint of ``models.train``, ``huggingface`` the folder of a Hugging Face
sequence classifier, ``torchscript`` a bare TorchScript module with its tokenizer and labels.
``tokenizer`` writes the small file for a function without a model file.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from tokenizers import Tokenizer
from torch import Tensor, nn

from export.archive import classifier_signature, extra_files, write_export, write_torchscript
from export.tokenizer import main as tokenizer_file
from vaccel_common.modelfile import PROBLEM_TYPES

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(help=__doc__)
def main() -> None:
    """Writes model files; the help text is the module's docstring."""


def writes(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options of all commands that write a program."""
    command = click.option("--half/--full", default=True, show_default=True, help="Store weights in half precision (.pt only).")(
        command
    )
    return click.option(
        "-o", "--out", type=click.Path(path_type=Path), required=True, help="NAME.pt (TorchScript) or NAME.pt2 (torch.export)."
    )(command)


def write(module: nn.Module, out: Path, extras: dict[str, str], *, half: bool) -> None:
    """Writes ``module`` in the format of ``out``'s suffix, and prints its size and sha256."""
    if out.suffix not in (".pt", ".pt2"):
        raise click.UsageError(f"--out {out}: the name must end in .pt or .pt2")
    digest = write_torchscript(module, out, extras, half=half) if out.suffix == ".pt" else write_export(module, out, extras)
    click.echo(f"{out}: {out.stat().st_size / 1e6:.1f} MB, sha256 {digest}")


def plain_tokenizer(path: Path, max_length: int) -> bytes:
    """``tokenizer.json`` as model files hold it: no padding, truncation at ``max_length``."""
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    return str(tokenizer.to_str()).encode()


@main.command()
@click.argument("folder", type=FOLDER)
@click.option("--max-length", default=128, show_default=True, help="Maximum tokens of a text.")
@writes
def checkpoint(folder: Path, max_length: int, out: Path, half: bool) -> None:
    """A model file from the checkpoint that models.train wrote into FOLDER."""
    import torch

    from training.network import from_state

    labels = json.loads((folder / "labels.json").read_text())
    config = (folder / "config.json").read_text()
    model = from_state(json.loads(config), torch.load(folder / "state.pt", weights_only=True))
    inputs = ("input_ids", "attention_mask")
    signature = classifier_signature(out.stem, "single_label_classification", max_length, len(labels), inputs=inputs, pad=0)
    extras = extra_files(plain_tokenizer(folder / "tokenizer.json", max_length), labels, signature)
    write(model, out, {**extras, "config.json": config}, half=half)


@main.command()
@click.argument("model", type=FILE)
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="NAME.pt2")
def pt2(model: Path, out: Path) -> None:
    """A .pt2 file from a MODEL.pt that ``checkpoint`` wrote."""
    import torch

    from training.network import from_state

    names = dict.fromkeys(("tokenizer.json", "labels.json", "signature.json", "config.json"), "")
    state = torch.jit.load(str(model), _extra_files=names).state_dict()
    extras = {name: value.decode() if isinstance(value, bytes) else value for name, value in names.items()}
    if not extras["config.json"]:
        raise click.UsageError(f"{model} has no config.json: only files that 'checkpoint' wrote can be converted to .pt2")
    write(from_state(json.loads(extras["config.json"]), state), out, extras, half=False)


class _Logits(nn.Module):
    """A Hugging Face classifier with positional inputs, whose only output is its logits."""

    def __init__(self, model: nn.Module, inputs: tuple[str, ...]) -> None:
        super().__init__()
        self.model = model
        self.inputs = inputs

    def forward(self, *tensors: Tensor) -> Tensor:
        logits: Tensor = self.model(**dict(zip(self.inputs, tensors, strict=True))).logits
        return logits


@main.command()
@click.argument("folder", type=FOLDER)
@click.option("--max-length", type=int, help="Maximum tokens of a text. [default: the model's limit, at most 512]")
@writes
def huggingface(folder: Path, max_length: int | None, out: Path, half: bool) -> None:
    """A model file from a Hugging Face sequence classifier.

    FOLDER holds config.json, the weights and tokenizer.json.
    """
    from transformers import AutoModelForSequenceClassification

    if not (folder / "tokenizer.json").is_file():
        raise click.UsageError(
            f"{folder} has no tokenizer.json (a fast tokenizer); AutoTokenizer(...).save_pretrained() writes one"
        )
    model = AutoModelForSequenceClassification.from_pretrained(folder, attn_implementation="sdpa")
    config = model.config
    length = max_length or min(512, getattr(config, "max_position_embeddings", 512))
    inputs = ("input_ids", "attention_mask")
    problem = config.problem_type or ("regression" if config.num_labels == 1 else "single_label_classification")
    labels = [config.id2label[i] for i in range(config.num_labels)]
    pad = config.pad_token_id or 0
    signature = classifier_signature(out.stem, problem, length, len(labels), inputs=inputs, pad=pad)
    write(
        _Logits(model, inputs), out, extra_files(plain_tokenizer(folder / "tokenizer.json", length), labels, signature), half=half
    )


@main.command()
@click.argument("module", type=FILE)
@click.option("--tokenizer", type=FILE, required=True, help="tokenizer.json (Hugging Face tokenizers).")
@click.option("--labels", type=FILE, required=True, help="A JSON list of names; the index is the class id.")
@click.option(
    "--signature", type=FILE, help="signature.json. [default: input_ids and attention_mask, int64 [n, t], batched and padded]"
)
@click.option(
    "--problem-type",
    type=click.Choice(PROBLEM_TYPES),
    default=PROBLEM_TYPES[0],
    show_default=True,
    help="How logits become scores.",
)
@click.option("--max-length", default=512, show_default=True)
@click.option("--pad", default=0, show_default=True, help="Token id of padding.")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="NAME.pt")
def torchscript(
    module: Path, tokenizer: Path, labels: Path, signature: Path | None, problem_type: str, max_length: int, pad: int, out: Path
) -> None:
    """A model file from a bare TorchScript MODULE, whose weights stay unchanged."""
    import torch

    names = json.loads(labels.read_text())
    text = (
        signature.read_text()
        if signature
        else classifier_signature(out.stem, problem_type, max_length, len(names), inputs=("input_ids", "attention_mask"), pad=pad)
    )
    write(torch.jit.load(str(module)), out, extra_files(plain_tokenizer(tokenizer, max_length), names, text), half=False)


main.add_command(tokenizer_file)

if __name__ == "__main__":
    main()
