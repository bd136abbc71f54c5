"""Makes faster variants of a model file and compares them: ``python -m models.variants COMMAND``.

``int8`` and ``bf16`` write NAME.int8.pt and NAME.bf16.pt beside NAME.pt: TorchScript with the same
tokenizer, labels, inputs and outputs; ``int8 --form onnx`` writes NAME.int8.onnx, of any classifier.
Their ``variant.json`` names the original and the share of texts with the same label, measured on the
file ``--texts`` or else on texts of random words. ``onnx`` writes NAME.onnx, a form with the
original's answers. ``evaluate`` compares files on the validation part of labelled tweets.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click
import torch
from tokenizers import Tokenizer

from agent.engines.registry import Engines
from agent.store.variants import EXACT
from export import trialtexts
from export.archive import loaded, write_torchscript
from export.comparison import Program, agreement, compare, load, logits_of, speeds
from export.forms import FORMS
from export.lowered import Bfloat16, ranges, to_int8
from export.modules import write_module
from export.onnxvariant import write_int8
from export.options import limited
from export.outputs import require_other, sha256_of
from export.quiet import quiet_logs
from export.samples import padded, token_ids
from export.writing import Limits
from training.data import of_part, read_tweets
from training.network import PooledClassifier, from_state
from vaccel_common.commandline import KindType, PathType, ToolGroup
from vaccel_common.modelfile import parse_variant, program_kind, read_extras
from vaccel_common.number_kinds import Number

FILE = PathType(exists=True, dir_okay=False)
#: Kind of a program -> what messages call it.
_FORMS = {"export": "torch.export", "onnx": "ONNX"}
_MADE_OF = (
    "int8 and bf16 variants in TorchScript are made of .pt files that 'models.export checkpoint' wrote, and of no other "
    "family; 'models.variants int8 --form onnx' takes any .pt and .onnx file"
)


class Original(NamedTuple):
    """The content of a model file that ``models.export checkpoint`` wrote."""

    digest: str
    model: PooledClassifier
    extras: dict[str, str]
    tokenizer: Tokenizer


@click.group(cls=ToolGroup, help=__doc__)
def main() -> None:
    """Writes and compares variants; the help text is the module's docstring."""


def makes(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the argument and the options of the commands that write a variant."""
    texts = click.option("--texts", type=FILE, help="Your own texts, one per line. [default: random words of the vocabulary]")
    out = click.option(
        "-o",
        "--out",
        type=PathType(),
        help="[default: beside MODEL: NAME.int8.pt, NAME.int8.onnx or NAME.bf16.pt]",
    )
    return click.argument("model", type=FILE)(out(texts(command)))


@main.command()
@makes
@click.option(
    "--form", type=click.Choice(["pt", "onnx"]), default="pt", show_default=True, help="TorchScript, or ONNX of any classifier."
)
@click.option(
    "--least-agreement",
    type=KindType(Number(0, maximum=1)),
    default=0.95,
    show_default=True,
    help="Write the file only if it gives this share of the texts, 0 to 1, the label that MODEL gives.",
)
def int8(model: Path, out: Path | None, texts: Path | None, form: str, least_agreement: float) -> None:
    """Write MODEL's int8 variant: in ONNX for every CPU, in TorchScript for those with AVX-512 VNNI."""
    path = out or model.with_suffix(f".int8.{form}")
    require_other(path, model)
    if form == "onnx":
        with quiet_logs():
            write_int8(model, path, texts, least_agreement)
        return
    original = read_original(model)
    calibration, trial = _token_ids(original, texts)
    bounds = ranges(original.model, (padded([row]) for row in calibration))
    _write(original, to_int8(original.model, bounds), "int8", path, trial, least_agreement)


@main.command()
@makes
def bf16(model: Path, out: Path | None, texts: Path | None) -> None:
    """Write MODEL's bfloat16 variant, for CPUs with AVX-512 BF16 or AMX."""
    path = out or model.with_suffix(".bf16.pt")
    require_other(path, model)
    original = read_original(model)
    _, trial = _token_ids(original, texts)
    _write(original, Bfloat16(original.model), "bf16", path, trial)


@main.command()
@click.argument("model", type=FILE)
@click.option("-o", "--out", type=PathType(), help="[default: NAME.onnx beside MODEL]")
@limited
def onnx(model: Path, out: Path | None, allow_difference: float) -> None:
    """Write MODEL.pt as ONNX with the same answers, which the agent runs where that is quicker."""
    path = out or model.with_suffix(".onnx")
    with quiet_logs():
        _require_torchscript(model, "ONNX is made of a .pt file here, and 'models.export' writes it of every source")
        require_other(path, model)
        program, extras = loaded(model)
        if "variant.json" in extras:
            raise click.UsageError(f"{model} is a variant itself; pass the original")
        missing = [name for name in ("tokenizer.json", "labels.json", "signature.json") if name not in extras]
        if missing:
            raise click.UsageError(f"{model} has no {' and no '.join(missing)}: 'models.export torchscript' adds them")
        module = (
            from_state(json.loads(extras["config.json"]), program.state_dict()) if "config.json" in extras else program.float()
        )
        limits = Limits(False, allow_difference)
        write_module(module, path, extras, limits, model.name, forms={".onnx": FORMS[".onnx"]}, original=sha256_of(model))


@main.command()
@click.argument("original", type=FILE)
@click.argument("variants", type=FILE, nargs=-1)
@click.option("--data", type=FILE, required=True, help="CSV with columns tweet and class (0, 1, 2).")
@click.option("-o", "--out", type=PathType(), help="Write the figures there too.")
def evaluate(original: Path, variants: tuple[Path, ...], data: Path, out: Path | None) -> None:
    """Compare the files on the validation part of labelled tweets.

    Shown are accuracy, agreement with ORIGINAL, the speed of one thread, and size.
    """
    if out:
        require_other(out, original, *variants, data)
    torch.set_num_threads(1)
    for path in variants:
        _tell_unfit(path)
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


def _tell_unfit(path: Path) -> None:
    """Says of which file the figures are not those of the CPUs that it is for."""
    engines = Engines()
    engines.open("cpu", 1)
    variant = read_extras(path).variant
    if variant and variant.precision != EXACT and not engines.computes(path, variant.precision):
        click.echo(f"{path}: its {variant.precision} is wrong or slow on this CPU, where no agent chooses it", err=True)


def read_original(path: Path) -> Original:
    """The content of ``path``.

    Raises ``click.UsageError`` for a variant, and for a file that ``models.export checkpoint`` did
    not write.
    """
    _require_torchscript(path, _MADE_OF)
    program, extras = loaded(path)
    if "variant.json" in extras:
        raise click.UsageError(f"{path} is a variant itself; pass the original")
    if "config.json" not in extras:
        raise click.UsageError(f"{path} has no config.json: {_MADE_OF}")
    model = from_state(json.loads(extras["config.json"]), program.state_dict())
    return Original(sha256_of(path), model, extras, Tokenizer.from_str(extras["tokenizer.json"]))


def _require_torchscript(path: Path, right: str) -> None:
    """Raises ``click.UsageError`` for another form, with what would be ``right``."""
    kind = program_kind(path)
    if kind and kind != "torchscript":
        raise click.UsageError(f"{path} is {_FORMS[kind]}: {right}")


def _token_ids(original: Original, texts: Path | None) -> tuple[list[list[int]], list[list[int]]]:
    """Token ids of the texts to calibrate with, and of others to measure agreement with."""
    calibration, trial = trialtexts.chosen(original.tokenizer, texts)
    return token_ids(original.tokenizer, calibration), token_ids(original.tokenizer, trial)


def _write(
    original: Original, lowered: torch.nn.Module, precision: str, out: Path, trial: list[list[int]], least: float = 0.0
) -> None:
    if out.suffix != ".pt":
        raise click.UsageError(f"--out {out}: the name must end in .pt")
    extras = _variant(original, lowered.eval(), precision, trial)
    trialtexts.require(parse_variant(extras["variant.json"]).agreement, len(trial), least, "the original's label")
    _tell(out, write_torchscript(lowered, out, extras, half=True), extras)


def _variant(original: Original, program: Program, precision: str, trial: list[list[int]]) -> dict[str, str]:
    """The extra files of a variant, with its agreement."""
    exact = logits_of(original.model, trial).argmax(1)
    agreed = agreement(logits_of(program, trial).argmax(1), exact)
    variant = json.dumps({"of": original.digest, "precision": precision, "agreement": agreed, "texts": len(trial)})
    parse_variant(variant)
    return {**original.extras, "variant.json": variant}


def _tell(out: Path, digest: str, extras: dict[str, str]) -> None:
    variant = parse_variant(extras["variant.json"])
    size = out.stat().st_size / 1e6
    click.echo(f"{out}: {size:.1f} MB, agreement {variant.agreement} on {variant.texts} texts, sha256 {digest}")


if __name__ == "__main__":
    main()
