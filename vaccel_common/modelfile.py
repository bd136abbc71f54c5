"""One file that serves a model: what stands beside the program inside a ``.pt`` or ``.pt2`` archive. No torch needed.

``torch.jit.save(_extra_files=...)`` and ``torch.export.save(extra_files=...)`` put extra files at ``*/extra/NAME``, uncompressed.
A *tokenizer file* is a zip of the same entries and a ``model.json`` (``{"name", "sha256"}``) instead of the program.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

ProblemType = Literal["single_label_classification", "multi_label_classification", "regression"]
PROBLEM_TYPES = ("single_label_classification", "multi_label_classification", "regression")

#: What a tensor may hold: the types that vAccel's tensors have, by the names of `vaccel_rpc.tensors.DTYPES`.
DTYPES = ("uint8", "int8", "int16", "int32", "int64", "float16", "float32")

#: What a dimension is: a fixed size, or the name of one that varies.
Dim = int | str


class ModelFileError(ValueError):
    """The file, or an entry in it, is not what the model-file format says; the message names both."""


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a model; ``pad`` is the value that fills up the length dimension (inputs only)."""

    name: str
    dtype: str
    dims: tuple[Dim, ...]
    pad: int | float = 0


@dataclass(frozen=True)
class Signature:
    """``signature.json``, format 1: inputs, outputs, and what the agent may join (``batch``) and pad (``length``)."""

    name: str
    problem_type: ProblemType
    max_length: int | None
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    batch: str | None
    length: str | None


@dataclass(frozen=True)
class VariantOf:
    """``variant.json``: this file is the model whose sha256 is ``of``, computed in another ``precision`` (int8, bf16).

    ``agreement``: the share of ``texts`` that it gave the original's best label, measured when it was made.
    """

    of: str
    precision: str
    agreement: float = 0.0
    texts: int = 0


@dataclass(frozen=True)
class Extras:
    """The entries of a model or tokenizer file that a client needs; each is None where the file has none.

    ``model`` is ``model.json``'s object: the name and digest of the model a tokenizer file belongs to.
    """

    tokenizer: bytes | None
    labels: list[str] | None
    signature: Signature | None
    model: dict[str, str] | None
    variant: VariantOf | None = None


def parse_signature(text: str | bytes) -> Signature:
    """The signature in ``text``. Raises `ModelFileError` naming the field that is wrong."""
    try:
        data = json.loads(text)
        if not isinstance(data, dict) or data.get("format") != 1:
            raise ModelFileError('signature.json: "format" must be 1')
        if data.get("problem_type") not in PROBLEM_TYPES:
            raise ModelFileError(f'signature.json: "problem_type" must be one of {", ".join(PROBLEM_TYPES)}')
        return Signature(
            name=str(data["name"]),
            problem_type=data["problem_type"],
            max_length=None if data.get("max_length") is None else int(data["max_length"]),
            inputs=tuple(_spec(spec) for spec in data["inputs"]),
            outputs=tuple(_spec(spec) for spec in data["outputs"]),
            batch=data.get("batch"),
            length=data.get("length"),
        )
    except KeyError as error:
        raise ModelFileError(f"signature.json: {error.args[0]!r} is missing") from None
    except (TypeError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ModelFileError(f"signature.json: {error}") from None


def _spec(data: dict[str, Any]) -> TensorSpec:
    if data["dtype"] not in DTYPES:
        raise ModelFileError(f"signature.json: dtype {data['dtype']!r} is none of {', '.join(DTYPES)}")
    return TensorSpec(data["name"], data["dtype"], tuple(data["dims"]), data.get("pad", 0))


def parse_variant(text: str | bytes) -> VariantOf:
    """What ``variant.json`` says. Raises `ModelFileError`."""
    try:
        data = json.loads(text)
        made = VariantOf(data["of"], data["precision"], float(data.get("agreement", 0)), int(data.get("texts", 0)))
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFileError(f"variant.json: {error}") from None
    if not _is_digest(made.of) or not isinstance(made.precision, str):
        raise ModelFileError('variant.json: "of" must be a sha256, "precision" a name')
    return made


def read_extras(path: str | Path) -> Extras:
    """The extras of a model or tokenizer file.

    Raises `ModelFileError` where it is not such an archive or an entry is malformed, ``OSError`` where it cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = {_extra_name(name): name for name in archive.namelist()}
            found = {name: archive.read(names[name]) for name in _ENTRIES if name in names}
    except zipfile.BadZipFile as error:
        raise ModelFileError(f"{path} is not a model file (TorchScript, torch.export or tokenizer zip): {error}") from None
    try:
        return Extras(
            tokenizer=found.get("tokenizer.json"),
            labels=_labels(found.get("labels.json")),
            signature=parse_signature(found["signature.json"]) if "signature.json" in found else None,
            model=json.loads(found["model.json"]) if "model.json" in found else None,
            variant=parse_variant(found["variant.json"]) if "variant.json" in found else None,
        )
    except ValueError as error:
        raise ModelFileError(f"{path}: {error}") from None


_ENTRIES = ("tokenizer.json", "labels.json", "signature.json", "model.json", "variant.json")


def _extra_name(name: str) -> str:
    """``tweets/extra/labels.json`` and ``labels.json`` are both ``labels.json``; entries of the program keep their path."""
    head, _, tail = name.rpartition("/")
    return tail if not head or head.endswith("extra") else name


def _labels(data: bytes | None) -> list[str] | None:
    if data is None:
        return None
    labels = json.loads(data)
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise ModelFileError("labels.json must be a list of strings, index = class id")
    return labels


def program_kind(path: str | Path) -> Literal["torchscript", "export"] | None:
    """Which kind of program the archive holds; None for neither (also for a file that is no zip)."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.split("/", 1)[-1] for name in archive.namelist()]
    except (zipfile.BadZipFile, OSError):
        return None
    if "archive_format" in names or any(name.startswith("models/") and name.endswith(".json") for name in names):
        return "export"
    return "torchscript" if "constants.pkl" in names or "data.pkl" in names else None


def digest_beside(path: Path) -> str | None:
    """The sha256 in ``PATH.sha256`` (sha256sum's format: ``HEX  NAME``), or None. Raises `ModelFileError` if it holds none."""
    beside = path.with_name(path.name + ".sha256")
    try:
        text = beside.read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        return None
    digest = text.split()[0].lower() if text.split() else ""
    if not _is_digest(digest):
        raise ModelFileError(f"{beside}: no sha256 in it; sha256sum's format is 'HEX  NAME'")
    return digest


def _is_digest(text: Any) -> bool:
    return isinstance(text, str) and len(text) == 64 and all(c in "0123456789abcdef" for c in text)
