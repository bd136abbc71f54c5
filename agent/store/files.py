"""Model files: their sha256, whose variant they are, and writing what a client sends."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from vaccel_common.modelfile import ModelFileError, VariantOf, digest_beside, program_kind, read_extras
from vaccel_rpc.errors import FailedPrecondition, InvalidArgument

_State = tuple[int, int, int]

T = TypeVar("T")


class FileCache(Generic[T]):
    """What ``read`` gives for a file, kept until the file changes."""

    def __init__(self, read: Callable[[Path], T]) -> None:
        self._read = read
        self._known: dict[Path, tuple[_State, T]] = {}

    def of(self, path: Path) -> T:
        """Raises what ``read`` raises."""
        stat = path.stat()
        state = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        known = self._known.get(path)
        if known is None or known[0] != state:
            known = self._known[path] = (state, self._read(path))
        return known[1]


def digest_of(path: Path) -> str:
    """The content's sha256: from the file beside it, else computed. Raises `FailedPrecondition` where that file holds none."""
    return _beside(path) or _sha256_of(path)


def variant_of(path: Path) -> VariantOf | None:
    """Whose variant the file is; None for an original, and for what cannot be read: its loader will say why."""
    try:
        return read_extras(path).variant
    except (ModelFileError, OSError):
        return None


def check_digest(path: Path) -> None:
    """Raises `FailedPrecondition` where the content is not what the digest beside it says."""
    expected = _beside(path)
    if expected and expected != _sha256_of(path):
        raise FailedPrecondition(f"{path.name} is not what {path.name}.sha256 says: the file or its digest is damaged")


def write_program(path: Path, data: memoryview) -> None:
    """Writes an upload. Raises `InvalidArgument`, leaving nothing, where it is no TorchScript file."""
    try:
        with path.open("xb") as file:
            file.write(data)
        kind = program_kind(path)
        if kind == "export":
            raise InvalidArgument(
                "a torch.export file (.pt2) can carry code and is taken from the store alone; send TorchScript (.pt)"
            )
        if kind is None:
            raise InvalidArgument("the bytes are not a model: a TorchScript archive (torch.jit.save) is expected")
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _beside(path: Path) -> str | None:
    try:
        return digest_beside(path)
    except ModelFileError as error:
        raise FailedPrecondition(str(error)) from None


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
