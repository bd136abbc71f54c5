"""vAccel's log, as its users know it: its levels, its file, and its lines, such as
``2025.06.22-22:30:03.73 - <info> vaccel-classifier 0.2.0``.

Everything that the process logs takes this form. A message may contain an agent's or a file's
text: what is not printable in it is escaped, so that it cannot begin a line.
"""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path
from typing import TextIO

from tqdm import tqdm

from vaccel_common import streams
from vaccel_common.kinds import Parsed
from vaccel_common.log import escaped

#: Levels of ``VACCEL_LOG_LEVEL``, libvaccel's numbers: the higher, the more is logged.
_LEVELS = (logging.CRITICAL + 1, logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG)
_WORDS = ("none", "error", "warn", "info", "debug")
_NAMES = {logging.DEBUG: "debug", logging.INFO: "info", logging.WARNING: "warn"}
#: Names that are streams, not files.
_STREAMS = ("/dev/stderr", "/dev/stdout")


def read_level(text: str) -> int:
    """A level from 0 to 4 by its number or its word. Raises ``ValueError``."""
    for level, word in enumerate(_WORDS):
        if text in (str(level), word):
            return level
    raise ValueError(f"one of {', '.join(f'{level} ({word})' for level, word in enumerate(_WORDS))} is needed")


#: The option of the level.
LEVEL = Parsed(read_level, "LEVEL", "a number from 0 to 4, or its word")


class VaccelFormatter(logging.Formatter):
    """The form of vAccel's lines: local time to a hundredth of a second, level, message."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of printable characters."""
        at = time.strftime("%Y.%m.%d-%H:%M:%S", time.localtime(record.created))
        message = record.getMessage()
        if record.exc_info:
            message += "\n" + self.formatException(record.exc_info)
        return f"{at}.{int(record.created * 100) % 100:02d} - <{_NAMES.get(record.levelno, 'error')}> {escaped(message)}"


class _Told(logging.Handler):
    """The first failed write is told on standard error; the work goes on."""

    _failed = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, ARG002 as logging calls it
        if not self._failed:
            self._failed = True
            streams.tell(f"note: {escaped(self.place)} cannot be written: {sys.exception()}")

    @property
    def place(self) -> str:
        """Where it writes."""
        return streams.OUTPUT


class _LogStream(_Told, logging.StreamHandler[TextIO]):
    """A stream, on which a progress bar is taken away while a line is written."""

    def emit(self, record: logging.LogRecord) -> None:
        with tqdm.external_write_mode(self.stream):
            super().emit(record)


class _LogFile(_Told, logging.FileHandler):
    """The file of each day: its name has the day's date and an ending, as upstream's."""

    def __init__(self, name: str) -> None:
        self._stem = Path(name).absolute()
        self._path = self._of_day(time.time())
        super().__init__(self._path, encoding="utf-8")

    @property
    def place(self) -> str:
        return self.baseFilename

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if (path := self._of_day(record.created)) != self._path:
                self.close()
                self._path = self.baseFilename = path
            super().emit(record)
        except OSError:
            self.handleError(record)

    def _of_day(self, at: float) -> str:
        return f"{self._stem}-{time.strftime('%Y-%m-%d', time.localtime(at))}.log"


def configure(level: int, file: str | None) -> None:
    """Logs what ``level`` includes, from 0 (nothing) to 4: to standard error, or to the end of today's ``file``.

    As upstream does, the date and an ending are added to the file's name: ``mylog-2025-06-22.log``.
    ``/dev/stdout`` and ``/dev/stderr`` are these streams. Raises ``OSError`` where the file cannot
    be opened.
    """
    to_stream = not file or file in _STREAMS
    handler = _LogStream(sys.stdout if file == "/dev/stdout" else sys.stderr) if to_stream else _LogFile(str(file))
    handler.setFormatter(VaccelFormatter())
    logging.basicConfig(level=_LEVELS[level], handlers=[handler], force=True)
