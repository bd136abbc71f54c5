"""A process's standard streams: closed ones are replaced, and a failed write names the stream."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

OUTPUT = "standard output"


class _Output(io.FileIO):
    """Standard output's file; its errors say so, as those of a file with a path do."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            error.filename = OUTPUT
            raise


def occupy() -> None:
    """Opens the null device in place of each standard stream that is closed.

    Else the next file or connection would take its number, and what is printed would go there. On a
    closed standard output every write fails, and a closed standard input cannot be read; what is
    written to a closed standard error is dropped.
    """
    for number, mode in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number, which is this one: those below are open.
            os.open(os.devnull, mode)
            os.set_inheritable(number, True)
    if sys.stderr is None:
        sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), "utf-8", "backslashreplace", line_buffering=True)


def prepare() -> None:
    """`occupy`; and from now on an ``OSError`` of standard output has its name as ``filename``."""
    occupy()
    if sys.stdout is not sys.__stdout__:
        return
    terminal = os.isatty(1)
    encoding = sys.stdout.encoding if sys.stdout else "utf-8"
    file = io.BufferedWriter(_Output(1, "w", closefd=False))
    # A label that the terminal's encoding lacks is no failure, as on standard error.
    sys.stdout = io.TextIOWrapper(file, encoding, "backslashreplace", line_buffering=terminal)


def tell(line: str) -> None:
    """A line on standard error, if that can be written: work does not fail for a note."""
    try:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
    except OSError:
        give_up_errors()


def end_output() -> None:
    """Writes what is left for standard output, or drops it where that fails, so that nothing is tried when the process ends."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        give_up_output()


def give_up_output() -> None:
    """Drops what is left for standard output, so that it is not tried again when the process ends."""
    _give_up(1)


def give_up_errors() -> None:
    """The same for standard error."""
    _give_up(2)


def _give_up(number: int) -> None:
    with contextlib.suppress(OSError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, number)
        os.close(null)


def reason(error: OSError) -> str:
    """What failed and why, in one line."""
    what = str(error.strerror or error)
    return f"{error.filename}: {what}" if error.filename else what
