"""Makes faster variants of a model file and compares them: ``python -m models.variants COMMAND``.

``int8`` and ``bf16`` write NAME.int8.pt and NAME.bf16.pt beside NAME.pt: TorchScript with the same
tokenizer, labels, inputs and outputs. Their ``variant.json`` names the original and the share of
texts with the same label, measured on the file ``--texts`` or else on texts of random words.
``evaluate`` compares files on the validation part of labelled tweets.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click
import torch
from tokenizers import Tokenizer

from export.archive import loaded, write_torchscript
from export.comparison import agreement, compare, load, logits_of, speeds
from export.lowered import Bfloat16, ranges, to_int8
from export.samples import made_up, padded, token_ids
from training.data import of_part, read_tweets
from training.network import MeanPoolClassifier, from_state
from vaccel_common.commandline import Programs
from vaccel_common.modelfile import parse_variant
from vaccel_common.textfile import read_lines

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
#: Number of texts that int8's ranges are measured on, and that agreement is measured on.
_CALIBRATION, _TRIAL = 300, 1000


class Original(NamedTuple):
    """The content of a model file that ``models.export checkpoint`` wrote."""

    digest: str
    model: MeanPoolClassifier
    extras: dict[str, str]
    tokenizer: Tokenizer


@click.group(cls=Programs, help=__doc__)
def main() -> None:
    """Writes and compares variants; the help text is the module's docstring."""


def makes(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the argument and the options of the commands that write a variant."""
    texts = click.option("--texts", type=FILE, help="Your own texts, one per line. [default: random words of the vocabulary]")
    out = click.option(
        "-o", "--out", type=click.Path(path_type=Path), help="[default: NAME.int8.pt or NAME.bf16.pt beside MODEL]"
    )
    return click.argument("model", type=FILE)(out(texts(command)))


@main.command()
@makes
def int8(model: Path, out: Path | None, texts: Path | None) -> None:
    """Write MODEL's int8 variant, for CPUs with AVX-512 VNNI."""
    original = read_original(model)
    calibration, trial = _token_ids(original, texts)
    lowered = to_int8(original.model, ranges(original.model, (padded([row]) for row in calibration)))
    _write(original, lowered, "int8", out or model.with_suffix(".int8.pt"), trial)


@main.command()
@makes
def bf16(model: Path, out: Path | None, texts: Path | None) -> None:
    """Write MODEL's bfloat16 variant, for CPUs with AVX-512 BF16 or AMX."""
    original = read_original(model)
    _, trial = _token_ids(original, texts)
    _write(original, Bfloat16(original.model), "bf16", out or model.with_suffix(".bf16.pt"), trial)


@main.command()
@click.argument("original", type=FILE)
@click.argument("variants", type=FILE, nargs=-1)
@click.option("--data", type=FILE, required=True, help="CSV with columns tweet and class (0, 1, 2).")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Write the figures there too.")
def evaluate(original: Path, variants: tuple[Path, ...], data: Path, out: Path | None) -> None:
    """Compare the files on the validation part of labelled tweets.

    Shown are accuracy, agreement with ORIGINAL, the speed of one thread, and size.
    """
    torch.set_num_threads(1)
    tweets = of_part(read_tweets(data), "validation")
    rows = token_ids(read_original(original).tokenizer, [tweet.text for tweet in tweets])
    labels = torch.tensor([tweet.label for tweet in tweets])
    files = {path.name: path for path in (original, *variants)}
    programs = {name: load(path) for name, path in files.items()}
    outputs = {name: logits_of(program, rows) for name, program in programs.items()}
    figures = {name: compare(logits, outputs[original.name], labels) for name, logits in outputs.items()}
    for name, rates in speeds(programs, rows).items():
        figures[name] |= {"bytes": files[name].stat().st_size, "texts_per_second": rates}
    text = json.dumps({"texts": len(rows), "cpu": torch.cpu.get_capabilities()["cpu_name"], "files": figures}, indent=1)
    click.echo(text)
    if out:
        out.write_text(text + "\n")


def read_original(path: Path) -> Original:
    """The content of ``path``.

    Raises ``click.UsageError`` for a variant, and for a file that ``models.export checkpoint`` did
    not write.
    """
    program, extras = loaded(path)
    if "variant.json" in extras:
        raise click.UsageError(f"{path} is a variant itself; pass the original")
    if "config.json" not in extras:
        raise click.UsageError(f"{path} has no config.json: only files that 'models.export checkpoint' wrote can have variants")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    model = from_state(json.loads(extras["config.json"]), program.state_dict())
    return Original(digest, model, extras, Tokenizer.from_str(extras["tokenizer.json"]))


def _token_ids(original: Original, texts: Path | None) -> tuple[list[list[int]], list[list[int]]]:
    """Token ids of the texts to calibrate with, and of others to measure agreement with."""
    if texts is None:
        samples = made_up(original.tokenizer, _CALIBRATION, 1), made_up(original.tokenizer, _TRIAL, 2)
    else:
        lines = [line for line in read_lines(texts) if line.strip()]
        samples = lines[::2][:_CALIBRATION], lines[1::2][:_TRIAL]
    if not samples[1]:
        raise click.UsageError(f"{texts}: at least two texts are needed")
    return token_ids(original.tokenizer, samples[0]), token_ids(original.tokenizer, samples[1])


def _write(original: Original, lowered: torch.nn.Module, precision: str, out: Path, trial: list[list[int]]) -> None:
    if out.suffix != ".pt":
        raise click.UsageError(f"--out {out}: the name must end in .pt")
    exact = logits_of(original.model, trial).argmax(1)
    agreed = agreement(logits_of(lowered.eval(), trial).argmax(1), exact)
    variant = {"of": original.digest, "precision": precision, "agreement": agreed, "texts": len(trial)}
    parse_variant(json.dumps(variant))
    extras = {**original.extras, "variant.json": json.dumps(variant)}
    digest = write_torchscript(lowered, out, extras, half=True)
    click.echo(f"{out}: {out.stat().st_size / 1e6:.1f} MB, agreement {agreed} on {len(trial)} texts, sha256 {digest}")


if __name__ == "__main__":
    main()
