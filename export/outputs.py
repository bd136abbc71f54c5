"""Where files are written: as drafts beside their place, to which they move with their digest once they are finished."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from export.refusal import Refused
from vaccel_common.digestfile import beside, digest_line

_PREFIX = ".export-"


class CannotWrite(click.ClickException):
    """The disk does not take a file, whatever its form: it is full, for example."""


def sha256_of(path: Path) -> str:
    """The digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_digest(path: Path) -> str:
    """Writes ``PATH.sha256`` in sha256sum's format; returns the digest."""
    digest = sha256_of(path)
    beside(path).write_bytes(digest_line(digest, path.name))
    return digest


def require_place(out: Path) -> None:
    """Raises `Refused` or `CannotWrite` where no file of this name, with its digest beside it, can be."""
    if not out.absolute().parent.is_dir():
        raise Refused(f"--out {out}: there is no folder {out.parent}")
    if out.is_dir():
        raise Refused(f"--out {out} is a folder: the name of a file is needed")
    try:
        beside(out).lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        # A name that has room itself may have none with the suffix of the digest.
        raise CannotWrite(f"--out {out}, with {beside(out).name} beside it: {error.strerror}") from None


def require_other(out: Path, *sources: Path) -> None:
    """Raises `Refused` where ``out`` is one of the files that are read, by whatever name or link."""
    for source in sources:
        if out.exists() and source.exists() and out.samefile(source):
            raise Refused(f"--out {out} is the file {source}, which is read: name another file")


@contextmanager
def drafts(out: Path) -> Iterator[Path]:
    """A folder beside ``out`` for files that are not finished, which is removed in the end.

    Raises `CannotWrite` for an ``OSError``, unless that names a file of another place.
    """
    parent = out.absolute().parent
    try:
        with tempfile.TemporaryDirectory(dir=parent, prefix=_PREFIX) as folder:
            yield Path(folder)
    except OSError as error:
        # A full disk's error names no file, and the names of drafts are not the user's.
        if error.filename and not str(error.filename).startswith(str(parent / _PREFIX)):
            raise
        raise CannotWrite(f"--out {out}: {error.strerror or error}") from None


def place(draft: Path, out: Path) -> str:
    """Moves a draft to ``out``, and its digest to ``OUT.sha256``; returns the digest.

    Raises ``OSError`` where one of both cannot be written; ``out`` and the file beside it are then as before.
    """
    digest, before = sha256_of(draft), draft.with_name("before.sha256")
    moved = draft.with_name("draft.sha256")
    moved.write_bytes(digest_line(digest, out.name))
    try:
        before.write_bytes(beside(out).read_bytes())
    except FileNotFoundError:
        pass
    # The digest is moved first, since it alone can be undone: the file that ``out`` was is gone once it is replaced.
    moved.replace(beside(out))
    try:
        draft.replace(out)
    except OSError:
        if before.exists():
            before.replace(beside(out))
        else:
            beside(out).unlink()
        raise
    return digest
