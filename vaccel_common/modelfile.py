"""Model files: the entries beside the program in a ``.pt``, ``.pt2`` or ``.onnx`` file.

``torch.jit.save(_extra_files=...)`` and ``torch.export.save(extra_files=...)`` put extra files at
``*/extra/NAME`` of a zip archive, uncompressed. An ONNX file has them in its ``metadata_props``, by
the same names. A *tokenizer file* is a zip of the same entries, with a ``model.json``
(``{"name", "sha256", "kind"}``; without a ``kind`` it is TorchScript) in place of the program.
Neither torch nor onnx is needed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from vaccel_common import archivefile
from vaccel_common.about import About, parse_about
from vaccel_common.imagespec import ImageSpec, parse_image

ProblemType = Literal["single_label_classification", "multi_label_classification", "regression"]
PROBLEM_TYPES = ("single_label_classification", "multi_label_classification", "regression")
#: Numbers of an input or output for each text, at most: models are tried with such inputs when they are loaded.
MAX_NUMBERS = 1 << 28
#: Whether a text comes with a second one, as for a cross-encoder.
Pairs = Literal["allowed", "required", "refused"]
PAIRS: tuple[Pairs, ...] = ("allowed", "required", "refused")

#: Types of tensors: those of vAccel, by the names in `vaccel_rpc.tensors.DTYPES`.
DTYPES = ("uint8", "int8", "int16", "int32", "int64", "float16", "float32")

#: What a model's file holds.
ProgramKind = Literal["torchscript", "export", "onnx"]
PROGRAM_KINDS: tuple[ProgramKind, ...] = ("torchscript", "export", "onnx")

#: A dimension: its fixed size, or the name of one whose size varies.
Dim = int | str

#: What reading malformed JSON raises: infinity is no size, and arrays may be nested without end.
_MALFORMED = (TypeError, ValueError, OverflowError, RecursionError)


class ModelFileError(ValueError):
    """The file or an entry in it does not have the format of model files, as the message says."""


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a model. ``pad``: the value that pads an input's length dimension."""

    name: str
    dtype: str
    dims: tuple[Dim, ...]
    pad: int | float = 0


@dataclass(frozen=True)
class Signature:
    """``signature.json``, format 1: a model's inputs and outputs.

    The agent may join requests along the dimension ``batch``, and pad them along ``length``.
    ``image``: how an image becomes the input, where the file states it. ``pairs``: whether the model
    takes pairs of texts, where the file states it.
    """

    name: str
    problem_type: ProblemType
    max_length: int | None
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    batch: str | None
    length: str | None
    image: ImageSpec | None = None
    pairs: Pairs | None = None


@dataclass(frozen=True)
class VariantOf:
    """``variant.json``: the file is a variant of another model, in another ``precision`` (int8,
    bf16).

    ``of``: the original's sha256. ``agreement``: the share of ``texts`` to which the variant gave
    the original's best label, measured when it was exported.
    """

    of: str
    precision: str
    agreement: float = 0.0
    texts: int = 0


@dataclass(frozen=True)
class Extras:
    """The entries of a model or tokenizer file; None for each that the file does not have.

    ``model``: the name and digest of the model that a tokenizer file belongs to. ``about``: empty
    where the file states nothing.
    """

    tokenizer: bytes | None
    labels: list[str] | None
    signature: Signature | None
    model: dict[str, str] | None
    variant: VariantOf | None = None
    about: About = field(default_factory=About)


def parse_signature(text: str | bytes) -> Signature:
    """The signature in ``text``. Raises `ModelFileError`, naming the invalid field."""
    try:
        data = json.loads(text)
        if not isinstance(data, dict) or data.get("format") != 1:
            raise ModelFileError('signature.json: "format" must be 1')
        if data.get("problem_type") not in PROBLEM_TYPES:
            raise ModelFileError(f'signature.json: "problem_type" must be one of {", ".join(PROBLEM_TYPES)}')
        name, inputs = str(data["name"]), tuple(_spec(spec) for spec in data["inputs"])
        return Signature(
            name=name,
            problem_type=data["problem_type"],
            max_length=_max_length(data.get("max_length")),
            inputs=inputs,
            outputs=tuple(_spec(spec) for spec in data["outputs"]),
            batch=_dimension(data, "batch"),
            length=_dimension(data, "length"),
            image=None if data.get("image") is None else parse_image(data["image"], inputs),
            pairs=_pairs(data.get("pairs")),
        )
    except ModelFileError:
        raise
    except KeyError as error:
        raise ModelFileError(f"signature.json: {error.args[0]!r} is missing") from None
    except _MALFORMED as error:
        raise ModelFileError(f"signature.json: {error}") from None


def _max_length(value: Any) -> int | None:
    if value is not None and (type(value) is not int or value < 1):
        raise ModelFileError(f'signature.json: "max_length" must be a whole number of at least 1, and is {value!r}')
    return value


def _dimension(data: Mapping[str, Any], field: str) -> str | None:
    value = data.get(field)
    if value is not None and not isinstance(value, str):
        raise ModelFileError(f'signature.json: "{field}" must be the name of a dimension, and is {value!r}')
    return value


def _pairs(value: Any) -> Pairs | None:
    if value is not None and value not in PAIRS:
        raise ModelFileError(f'signature.json: "pairs" must be one of {", ".join(PAIRS)}')
    return cast("Pairs | None", value)


def _spec(data: dict[str, Any]) -> TensorSpec:
    if data["dtype"] not in DTYPES:
        raise ModelFileError(f"signature.json: dtype {data['dtype']!r} must be one of {', '.join(DTYPES)}")
    are_dims = all(isinstance(dim, str) or (type(dim) is int and dim >= 0) for dim in data["dims"])
    if not isinstance(data["name"], str) or not are_dims:
        raise ModelFileError(
            f"signature.json: {data['name']!r} of {data['dims']} must be a name, and sizes or names of dimensions"
        )
    if math.prod(dim for dim in data["dims"] if type(dim) is int) > MAX_NUMBERS:
        raise ModelFileError(f"signature.json: {data['name']!r} of {data['dims']} has more than {MAX_NUMBERS} numbers")
    pad = data.get("pad", 0)
    if type(pad) not in (int, float) or not math.isfinite(pad):
        raise ModelFileError(f'signature.json: "pad" of {data["name"]!r} must be a number, and is {pad!r}')
    return TensorSpec(data["name"], data["dtype"], tuple(data["dims"]), pad)


def parse_variant(text: str | bytes) -> VariantOf:
    """The contents of ``variant.json``. Raises `ModelFileError`."""
    try:
        data = json.loads(text)
        variant = VariantOf(data["of"], data["precision"], float(data.get("agreement", 0)), int(data.get("texts", 0)))
    except (KeyError, *_MALFORMED) as error:
        raise ModelFileError(f"variant.json: {error}") from None
    if not is_digest(variant.of) or not isinstance(variant.precision, str):
        raise ModelFileError('variant.json: "of" must be a sha256, "precision" a name')
    return variant


def read_extras(path: str | Path) -> Extras:
    """The extras of a model or tokenizer file.

    Raises `ModelFileError` where the file is not such an archive or an entry is malformed,
    ``OSError`` where it cannot be read.
    """
    entries = read_entries(path)
    try:
        return from_entries(entries)
    except ValueError as error:
        raise ModelFileError(f"{path}: {error}") from None


def read_entries(path: str | Path) -> dict[str, bytes]:
    """The entries of a model or tokenizer file that `from_entries` parses, by name.

    Raises `ModelFileError` where the file is not such an archive, ``OSError`` where it cannot be
    read.
    """
    return _archive_entries(path) if archivefile.is_archive(path) else _onnx_entries(path)


def from_entries(entries: Mapping[str, bytes]) -> Extras:
    """The extras in ``entries``, by name. Raises `ModelFileError` where one is malformed."""
    try:
        return Extras(
            tokenizer=entries.get("tokenizer.json"),
            labels=_labels(entries.get("labels.json")),
            signature=parse_signature(entries["signature.json"]) if "signature.json" in entries else None,
            model=json.loads(entries["model.json"]) if "model.json" in entries else None,
            variant=parse_variant(entries["variant.json"]) if "variant.json" in entries else None,
            about=parse_about(entries["about.json"]) if "about.json" in entries else About(),
        )
    except ModelFileError:
        raise
    except RecursionError:
        raise ModelFileError("an entry is JSON that is too deeply nested") from None
    except ValueError as error:
        raise ModelFileError(str(error)) from None


def _archive_entries(path: str | Path) -> dict[str, bytes]:
    try:
        return archivefile.read_entries(path, _ENTRIES)
    except archivefile.ArchiveFileError as error:
        raise ModelFileError(f"{path} {_NO_MODEL}: {error}") from None


def _onnx_entries(path: str | Path) -> dict[str, bytes]:
    from vaccel_common.onnxfile import OnnxFileError, read_entries

    try:
        return read_entries(path, _ENTRIES)
    except OnnxFileError as error:
        # Anything may be read as the fields of an ONNX file: what is wrong with these is of use only where it should be one.
        raise ModelFileError(f"{path} {_NO_MODEL}" + (f": as ONNX, {error}" if Path(path).suffix == ".onnx" else "")) from None


_NO_MODEL = "is not a model file: neither TorchScript, .pt2, ONNX nor a tokenizer file"
_ENTRIES = ("tokenizer.json", "labels.json", "signature.json", "model.json", "variant.json", "about.json")


def _labels(data: bytes | None) -> list[str] | None:
    if data is None:
        return None
    labels = json.loads(data)
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise ModelFileError("labels.json must be a list of strings, index = class id")
    return labels


def program_kind(path: str | Path) -> ProgramKind | None:
    """The kind of program in the file, by its content; None for any other file."""
    try:
        if archivefile.is_archive(path):
            return archivefile.program_kind(path)
    except OSError:
        return None
    from vaccel_common.onnxfile import is_onnx  # not at a function's start, which reads an archive

    return "onnx" if is_onnx(path) else None


def is_digest(text: Any) -> bool:
    """Whether it is a sha256, in lower-case hexadecimal digits."""
    return isinstance(text, str) and len(text) == 64 and all(c in "0123456789abcdef" for c in text)
