"""vAccel's log, as its users know it: its levels, its file, and its lines, such as
``2025.06.22-22:30:03.73 - <info> vaccel-classifier 0.2.0``.

Everything that the process logs takes this form. A message may contain an agent's or a file's
text: what is not printable in it is escaped, so that it cannot begin a line.
"""

from __future__ import annotations

import logging
import sys
import time
from typing import TextIO

import click
from tqdm import tqdm

from vaccel_common.log import escaped

#: Numbers of ``VACCEL_LOG_LEVEL``: the higher, the more is logged.
LEVELS = {1: logging.ERROR, 2: logging.WARNING, 3: logging.INFO, 4: logging.DEBUG}
_NAMES = {logging.DEBUG: "debug", logging.INFO: "info", logging.WARNING: "warn"}
#: Names that are streams, not files.
_STREAMS = ("/dev/stderr", "/dev/stdout")


class VaccelFormatter(logging.Formatter):
    """The form of vAccel's lines: local time to a hundredth of a second, level, message."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of printable characters."""
        at = time.strftime("%Y.%m.%d-%H:%M:%S", time.localtime(record.created))
        message = record.getMessage()
        if record.exc_info:
            message += "\n" + self.formatException(record.exc_info)
        return f"{at}.{int(record.created * 100) % 100:02d} - <{_NAMES.get(record.levelno, 'error')}> {escaped(message)}"


class _LogStream(logging.StreamHandler[TextIO]):
    """A stream, on which a progress bar is taken away while a line is written."""

    def emit(self, record: logging.LogRecord) -> None:
        with tqdm.external_write_mode(self.stream):
            super().emit(record)


class _LogFile(logging.FileHandler):
    """A file whose first failed write is told on standard error; the work goes on."""

    _failed = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, ARG002 as logging calls it
        if not self._failed:
            self._failed = True
            click.echo(f"note: {escaped(self.baseFilename)} cannot be written: {sys.exception()}", err=True)


def configure(level: int, file: str | None) -> None:
    """Logs what ``level``, a key of `LEVELS`, includes: to standard error, or to the end of today's ``file``.

    As upstream does, the date and an ending are added to the file's name: ``mylog-2025-06-22.log``.
    ``/dev/stdout`` and ``/dev/stderr`` are these streams. Raises ``OSError`` where the file cannot
    be opened.
    """
    handler: logging.Handler
    if file is None or file in _STREAMS:
        handler = _LogStream(sys.stdout if file == "/dev/stdout" else sys.stderr)
    else:
        handler = _LogFile(f"{file}-{time.strftime('%Y-%m-%d')}.log", encoding="utf-8")
    handler.setFormatter(VaccelFormatter())
    logging.basicConfig(level=LEVELS[level], handlers=[handler], force=True)
