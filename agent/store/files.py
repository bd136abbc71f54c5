"""Model files: their sha256, the model that they are a variant of, and their labels."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Generic, TypeVar

from vaccel_common.modelfile import ModelFileError, VariantOf, digest_beside, read_extras
from vaccel_rpc.errors import FailedPrecondition, NotFound

_log = logging.getLogger("agent.store")

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


class Digests:
    """The sha256 of model files, as the file beside each says, or its content."""

    def __init__(self) -> None:
        self._cache = FileCache(_digest_of)
        self._left_out: set[Path] = set()

    def of(self, path: Path) -> str:
        """The file's sha256. Raises `NotFound` where it cannot be read, and `FailedPrecondition`."""
        try:
            return self._cache.of(path)
        except OSError as error:
            raise NotFound(f"{path.name} cannot be read: {error.strerror}") from None

    def find(self, digest: str, paths: Iterable[Path]) -> Path | None:
        """The first file with that sha256. One that has none hides no other, and is logged once."""
        for path in paths:
            try:
                if self.of(path) == digest:
                    return path
            except (NotFound, FailedPrecondition) as error:
                if path not in self._left_out:
                    self._left_out.add(path)
                    _log.warning("The store's file %s is left out: %s", path.name, error.message)
        return None


def _digest_of(path: Path) -> str:
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
