"""Finds out, from a model's name or file, what to ask the agent for, what to send it where it does not have that, and where the
tokenizer is. The function never hashes a model."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vaccel_common.digestfile import digest_beside
from vaccel_common.modelfile import PROGRAM_KINDS, Extras, ModelFileError, ProgramKind, program_kind, read_extras
from vaccel_common.options import ConfigError
from vaccel_rpc.registering import ModelSource

_DIGEST = re.compile("sha256:[0-9a-f]{64}")
_SUFFIXES = (".pt", ".pt2", ".onnx")
#: The file of the model that ships.
SHIPPED_NAME = "tweets.pt"
#: Its tokenizer file, for an installation without model files. It names the model by its sha256.
SHIPPED_TOKENIZER = Path(__file__).parent / "tweets.tokenizer"


@dataclass(frozen=True)
class Described:
    """A model as the function knows it.

    ``source``: how the agent is asked for it. ``model``: what answers say of it. ``file``: that with its tokenizer. ``kind``: what its
    own file holds.
    """

    source: ModelSource
    model: dict[str, str | None]
    file: Path
    kind: ProgramKind


def default_model() -> str:
    """The path of the model that is served where none is named, of the checkout's or the working directory's ``models``, or empty.

    That is the model that ships, or the only one where it is not there. Raises `ConfigError` where there are several others.
    """
    for folder in (Path(__file__).parent.parent / "models", Path("models")):
        if (shipped := folder / SHIPPED_NAME).is_file():
            return str(shipped)
        originals = _originals(sorted(path for path in folder.glob("*") if path.suffix in _SUFFIXES))
        if len(originals) == 1:
            return str(originals[0])
        if originals:
            names = ", ".join(path.name for path in originals)
            raise ConfigError(f"MODEL: {folder} holds several models ({names}); set MODEL to one of them")
    return ""


def _originals(files: list[Path]) -> list[Path]:
    """The files that are not variants of another model; a single file is not read."""
    return files if len(files) < 2 else [path for path in files if read_extras(path).variant is None]


def is_file(model: str) -> bool:
    """Whether ``model`` is a path, not a name in the agent's store."""
    return "/" in model or model.endswith(_SUFFIXES) or Path(model).is_file()


def describe(model: str, tokenizer: Path | None) -> Described:
    """The model and its files.

    ``model`` is a path, or a name or digest in the agent's store. Where it is empty, the tokenizer file names the model: the given
    one or, without one, that of the model that ships. Raises `ModelFileError` if a name comes without a tokenizer file, and for what
    can name no model.
    """
    if not model:
        tokenizer = tokenizer or SHIPPED_TOKENIZER
    if model and (is_file(model) or (tokenizer is None and Path(model).is_dir())):
        path = Path(model)
        if path.is_dir():
            raise ModelFileError(f"MODEL={model}: it is a directory; name a model file in it")
        if not path.is_file():
            raise ModelFileError(f"MODEL={model}: no such file")
        digest = digest_beside(path)
        # With its suffix, as a name without one may be an alias.
        kind = program_kind(path)
        source = ModelSource(f"sha256:{digest}" if digest else path.name, None if kind is None else path)
        return Described(source, {"name": path.stem, "sha256": digest}, tokenizer or path, kind or "torchscript")
    _check_digest(model, f"MODEL={model}")
    if tokenizer is None:
        raise ModelFileError(f"MODEL={model} is a name in the agent's store: TOKENIZER, its tokenizer file, is needed too")
    extras = extras_of(tokenizer)
    about = extras.model or {}
    if not model and "sha256" not in about:
        raise ModelFileError(f"TOKENIZER={tokenizer} does not say whose tokenizer it is: set MODEL too")
    if not model:
        model = f"sha256:{about['sha256']}"
        _check_digest(model, f"TOKENIZER={tokenizer} names the model {model}")
    if not model.startswith("sha256:"):
        from vaccel_common.interface import interface_of

        # The agent says which model the name means, and checks that this tokenizer is that model's.
        source = ModelSource(model, interface=interface_of(extras))
        return Described(source, {"name": model, "sha256": None}, tokenizer, _kind(about))
    named = about.get("name", model)
    return Described(ModelSource(model), {"name": named, "sha256": model.removeprefix("sha256:")}, tokenizer, _kind(about))


def _check_digest(model: str, what: str) -> None:
    """Raises `ModelFileError` for a digest that no model has; without it every request would find out."""
    if model.startswith("sha256:") and not _DIGEST.fullmatch(model):
        raise ModelFileError(f"{what}: a digest is sha256: and 64 hexadecimal digits in lower case")


def _kind(about: dict[str, Any]) -> ProgramKind:
    """What the model's file holds, as its tokenizer file says."""
    return next((kind for kind in PROGRAM_KINDS if kind == about.get("kind")), "torchscript")


def extras_of(path: Path) -> Extras:
    """The extras of a model or tokenizer file. Raises `ModelFileError`."""
    try:
        return read_extras(path)
    except OSError as error:
        raise ModelFileError(f"{path}: {error.strerror}") from None
