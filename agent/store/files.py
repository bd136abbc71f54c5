"""Model files: their sha256, the model that they are a variant of, and their labels."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from vaccel_common.modelfile import ModelFileError, VariantOf, digest_beside, read_extras
from vaccel_rpc.errors import FailedPrecondition

_State = tuple[int, int, int]

T = TypeVar("T")


class FileCache(Generic[T]):
    """The results of ``read`` by file, each kept until its file changes."""

    def __init__(self, read: Callable[[Path], T]) -> None:
        self._read = read
        self._results: dict[Path, tuple[_State, T]] = {}

    def of(self, path: Path) -> T:
        """The file's result. Raises what ``read`` raises."""
        stat = path.stat()
        state = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        cached = self._results.get(path)
        if cached is None or cached[0] != state:
            cached = self._results[path] = (state, self._read(path))
        return cached[1]


def digest_of(path: Path) -> str:
    """The file's sha256: from the ``.sha256`` file beside it, else computed.

    Raises `FailedPrecondition` where the file beside it has no sha256.
    """
    return _beside(path) or _sha256_of(path)


def variant_of(path: Path) -> VariantOf | None:
    """The model that the file is a variant of.

    None for an original, and for a file that cannot be read: loading it will say why.
    """
    try:
        return read_extras(path).variant
    except (ModelFileError, OSError):
        return None


def labels_of(path: Path) -> list[str] | None:
    """The labels in the model's file; None where it has none, or is not an archive."""
    try:
        return read_extras(path).labels
    except (ModelFileError, OSError):
        return None


def check_digest(path: Path) -> None:
    """Raises `FailedPrecondition` where the file does not match the digest beside it."""
    expected = _beside(path)
    if expected and expected != _sha256_of(path):
        raise FailedPrecondition(f"{path.name} does not match {path.name}.sha256: the file or its digest is damaged")


def _beside(path: Path) -> str | None:
    try:
        return digest_beside(path)
    except ModelFileError as error:
        raise FailedPrecondition(str(error)) from None


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
