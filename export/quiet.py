"""Silence while programs are traced and written: what matters is said in our lines."""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress

_STDOUT = 1


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing is printed, and nobody is warned.

    Tracing warns of all that might vary, where the check finds what does; torch.export prints the
    program at which it failed, and so does torch's older exporter to ONNX, in C++ and in hundreds of
    lines.
    """
    with warnings.catch_warnings(), _native(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _native() -> Iterator[None]:
    """The same for what is written past Python to the process's standard output."""
    # What cannot be written is for the next line to tell.
    with suppress(AttributeError, OSError, ValueError):
        sys.stdout.flush()
    try:
        kept = os.dup(_STDOUT)
    except OSError:
        yield  # it is closed
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, _STDOUT)
        yield
    finally:
        os.dup2(kept, _STDOUT)
        os.close(kept)
        os.close(nowhere)
