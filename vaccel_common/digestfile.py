"""The file beside a model that states its sha256, in sha256sum's format: ``NAME.pt.sha256``."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from vaccel_common.modelfile import ModelFileError, is_digest

#: Bytes of a ``.sha256`` file that are read: a digest and a long name.
_MOST = 1 << 13
#: What sha256sum writes in place of characters of a name, of which a line with such a name then begins with a backslash.
#: Source: GNU coreutils, "cksum output modes" ("\\", "\n" and "\r").
_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", "\r": r"\r"})


def beside(path: Path) -> Path:
    """The file beside a model that has its sha256: ``NAME.pt.sha256``."""
    return path.with_name(path.name + ".sha256")


def digest_line(digest: str, name: str) -> bytes:
    """The line that sha256sum prints of a file: ``HEX  NAME``, or ``\\HEX  NAME`` where the name has to be escaped."""
    escaped = name.translate(_ESCAPES)
    mark = "" if escaped == name else "\\"
    return f"{mark}{digest}  {escaped}\n".encode("utf-8", "surrogateescape")


def digest_beside(path: Path) -> str | None:
    """The sha256 in ``PATH.sha256``, of which the name is not looked at; None without such a file.

    Raises `ModelFileError` where the file has no sha256 or is not a regular file.
    """
    file = beside(path)
    try:
        # A FIFO would block; of a device or a large file no more is read than a digest may take.
        fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except FileNotFoundError:
        return None
    try:
        text = os.read(fd, _MOST) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
    finally:
        os.close(fd)
    first, *_ = text.split() or [b""]
    digest = first.removeprefix(b"\\").decode("ascii", "replace").lower()
    if not is_digest(digest):
        raise ModelFileError(f"{file} has no sha256; the format is sha256sum's, 'HEX  NAME'")
    return digest
