"""The extra files in a zip archive: of TorchScript, of torch.export, or a tokenizer file.

What a client sends may be such an archive: an entry of a few bytes may unpack to gigabytes.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Literal

#: Bytes of one extra file, unpacked; the largest tokenizers that are known have a quarter of it.
MAX_ENTRY = 128 << 20

_BEGINNING = b"PK\x03\x04"

#: What the library raises for an archive that is damaged, encrypted, or packed in another way.
_UNREADABLE = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError)


class ArchiveFileError(ValueError):
    """The archive cannot be read, as the message says."""


def read_entries(path: str | Path, names: Collection[str]) -> dict[str, bytes]:
    """The entries with one of ``names``, at ``NAME`` or ``*/extra/NAME``, by name.

    Raises `ArchiveFileError` where the file is not an archive or an entry is too large, ``OSError``
    where it cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            infos = {_name(info.filename): info for info in archive.infolist()}
            return {name: _read(archive, infos[name], name) for name in names if name in infos}
    except _UNREADABLE as error:
        raise ArchiveFileError(str(error)) from None


def is_archive(path: str | Path) -> bool:
    """Whether the file begins as a zip archive. Raises ``OSError`` where it cannot be read."""
    with Path(path).open("rb") as file:
        return file.read(len(_BEGINNING)) == _BEGINNING


def program_kind(path: str | Path) -> Literal["torchscript", "export"] | None:
    """The kind of program in an archive, by the names of its entries; None where there is none.

    Raises ``OSError`` where the file cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.split("/", 1)[-1] for name in archive.namelist()]
    except zipfile.BadZipFile:
        return None
    if "archive_format" in names or any(name.startswith("models/") and name.endswith(".json") for name in names):
        return "export"
    return "torchscript" if "constants.pkl" in names or "data.pkl" in names else None


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> bytes:
    # The library reads no more than what is declared.
    if info.file_size > MAX_ENTRY:
        raise ArchiveFileError(f"{name} has {info.file_size} bytes; at most {MAX_ENTRY} are read")
    return archive.read(info)


def _name(name: str) -> str:
    """The name of an extra file; other entries keep their path."""
    head, _, tail = name.rpartition("/")
    return tail if not head or head.endswith("extra") else name
