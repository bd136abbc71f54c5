"""What libraries print while models are read, traced and written is left out: what matters is said in our lines."""

from __future__ import annotations

import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress

_STDOUT = 1


@contextmanager
def quiet_logs() -> Iterator[None]:
    """Lets transformers, torch and the agent's engine print nothing: what matters is said in our lines."""
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    loggers = [logging.getLogger(name) for name in ("torch", "agent")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        # torch warns of formats that it then refuses, in two lines.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def quiet_streams() -> Iterator[None]:
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
