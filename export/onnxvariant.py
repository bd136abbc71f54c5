"""int8 variants in ONNX, of any classifier that has its tokenizer, labels and signature in its file.

The network need not be known: ranges are measured in the graph, and the variant is compared with its
original, both loaded as the agent loads them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import onnx

from agent.engines.arrays import to_array
from agent.engines.contract import Program
from agent.engines.onnx.sessions import reason
from agent.engines.registry import Engines
from agent.store.variants import EXACT
from export import onnxform, onnxint8, trialtexts
from export.archive import loaded
from export.checking import Expected, agreement, furthest, of_program
from export.foreign import read_foreign
from export.outputs import drafts, place, require_place, sha256_of
from export.pairs import samples
from export.quiet import quiet_streams
from export.refusal import Refused, one_line, refuse_pointers
from export.samples import untruncated
from function.core.texts import Text
from function.core.tokens import Encoder
from training.network import from_state
from vaccel_common.modelfile import Extras, from_entries, parse_signature, parse_variant, program_kind, read_entries

#: Texts in a padded batch.
_BATCH = 16
_NEEDED = ("tokenizer.json", "labels.json", "signature.json")


@dataclass(frozen=True)
class _Original:
    """A model file. ``of``: the sha256 of the model of which it is a form, or its own; ``extras``: its extra files."""

    path: Path
    of: str
    extras: dict[str, str]

    @property
    def parsed(self) -> Extras:
        """What the extra files say."""
        return from_entries({name: text.encode() for name, text in self.extras.items()})


def write_int8(source: Path, out: Path, texts: Path | None, least: float) -> None:
    """Writes the int8 variant of a .pt or .onnx file. ``texts``: None for random words of its vocabulary.

    Raises `Refused` where there is nothing to quantize, where less than the share ``least`` of texts gets the
    original's label, and where the texts of a batch change one another's answers.
    """
    if out.suffix != ".onnx":
        raise click.UsageError(f"--out {out}: the name must end in .onnx")
    require_place(out)
    original = _original(source)
    calibration, trial = _texts(original, texts)
    with drafts(out) as folder:
        draft = folder / f"draft{out.suffix}"
        with quiet_streams():
            model = _lowered(original, calibration)
        variant: dict[str, Any] = {"of": original.of, "precision": "int8"}
        onnxform.save(model, draft, {**original.extras, "variant.json": json.dumps(variant)})
        variant |= _compared(original, draft, trial, least)
        onnxform.save(model, draft, {**original.extras, "variant.json": json.dumps(variant)})
        digest = place(draft, out)
    told = f"agreement {variant['agreement']} on {variant['texts']} texts"
    click.echo(f"{out}: {out.stat().st_size / 1e6:.1f} MB, {told}, sha256 {digest}")


def _original(path: Path) -> _Original:
    refuse_pointers([path])
    kind = program_kind(path)
    if kind not in ("torchscript", "onnx"):
        raise click.UsageError(f"{path}: int8 in ONNX is made of a .pt or an .onnx file")
    extras = {name: entry.decode() for name, entry in read_entries(path).items()}
    if missing := [name for name in _NEEDED if name not in extras]:
        adds = "models.export onnx" if kind == "onnx" else "models.export torchscript"
        raise click.UsageError(f"{path} has no {' and no '.join(missing)}: '{adds}' adds them")
    of = sha256_of(path)
    if "variant.json" in extras:
        variant = parse_variant(extras.pop("variant.json"))
        if variant.precision != EXACT:
            raise click.UsageError(f"{path} is a variant itself; pass the original")
        of = variant.of
    if parse_signature(extras["signature.json"]).problem_type == "regression":
        raise Refused(f"{path} is a regression, which has no labels by which an int8 variant could be judged")
    return _Original(path, of, extras)


def _texts(original: _Original, path: Path | None) -> tuple[list[Text], list[Text]]:
    """Texts to measure ranges on, and others to compare with."""
    calibration, trial = trialtexts.chosen(untruncated(original.extras["tokenizer.json"]), path)
    pairs = parse_signature(original.extras["signature.json"]).pairs or "refused"
    return samples(calibration, pairs)[: trialtexts.CALIBRATION], samples(trial, pairs)[: trialtexts.TRIAL]


def _lowered(original: _Original, texts: Sequence[Text]) -> onnx.ModelProto:
    graph = _graph(original)
    if not onnxint8.linear(graph.graph):
        raise Refused(f"{original.path} has no products of float32 states with weights before its last layers")
    try:
        return onnxint8.to_int8(graph, onnxint8.ranges(graph, _feeds(original, texts)))
    except Exception as error:  # noqa: BLE001 onnx and onnxruntime raise many kinds
        raise Refused(f"{original.path} cannot be quantized: {reason(error)}") from None


def _graph(original: _Original) -> onnx.ModelProto:
    if program_kind(original.path) == "onnx":
        return read_foreign(original.path).model
    program, entries = loaded(original.path)
    if "config.json" in entries:
        network = from_state(json.loads(entries["config.json"]), program.state_dict())
        return onnxform.of_export(network, original.extras)
    try:
        return onnxform.of_trace(program, original.extras)
    except Refused:
        raise
    except Exception as error:  # noqa: BLE001 tracing raises many kinds
        raise Refused(f"{original.path} cannot be written as ONNX: {one_line(error)}") from None


def _feeds(original: _Original, texts: Sequence[Text]) -> Iterator[Mapping[str, Any]]:
    """The graph's inputs for each text alone."""
    signature = parse_signature(original.extras["signature.json"])
    names = [spec.name for spec in signature.inputs]
    for encoded in Encoder(original.extras["tokenizer.json"].encode(), signature).encode(texts):
        yield dict(zip(names, map(to_array, encoded.windows[0]), strict=True))


def _compared(original: _Original, draft: Path, trial: Sequence[Text], least: float) -> dict[str, Any]:
    """What ``variant.json`` says of the comparison, which is printed. Raises `Refused`."""
    engines = Engines()
    engines.open("cpu", 1)

    def answers(program: Program, size: int, name: str) -> Expected:
        return of_program(program, original.parsed, trial, name, size)

    exact, lowered = engines.load(original.path), engines.load(draft)
    right, alone = answers(exact, 1, original.path.name), answers(lowered, 1, "the int8 variant")
    share = agreement(right, alone)
    trialtexts.require(share, len(trial), least, f"the label of {original.path.name}")
    if exact.joinable and not lowered.joinable:
        raise Refused("not written: padding changes its int8 answers")
    company = furthest(alone, answers(lowered, _BATCH, "the int8 variant")) if lowered.joinable else 0.0
    click.echo(
        f"checked against {original.path.name}: scores change by at most {furthest(right, alone):.2g}, "
        f"and {'run alone' if not lowered.joinable else f'by {company:.2g} between alone and padded in batches of {_BATCH}'}"
    )
    return {"agreement": share, "texts": len(trial)}
