"""SIGINT and SIGTERM end the classifier's work between results: no result is lost, or counted and not printed."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from typing import Any

#: Seconds for which a signal waits for a reader that takes nothing of the results that are being written.
_PATIENCE_S = 2.0
#: Seconds after which a write is interrupted to see that. A signal that arrives just before a write begins does not interrupt it.
_BEAT_S = 0.5


class Interrupted(KeyboardInterrupt):
    """A signal ended the work; ``code`` is the exit code that says which."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.code = 128 + number


class Interrupts:
    """Raises `Interrupted` for SIGINT and SIGTERM, but within `held` only at its end.

    The error would otherwise be raised anywhere, also between a write and Python's note that it was made. For a reader that takes
    nothing it is raised after two seconds all the same, and after a second signal within half a second. A signal that the process
    was started to ignore is ignored.
    """

    def __init__(self) -> None:
        self._held = False
        #: The first signal that arrived while it was held, and until when it waits.
        self._waiting: tuple[int, float] | None = None
        signal.signal(signal.SIGALRM, self._beat)
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._handle)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Has signals wait until the block has ended. Raises `Interrupted` then."""
        self._held = True
        signal.setitimer(signal.ITIMER_REAL, _BEAT_S, _BEAT_S)
        try:
            yield
        finally:
            self._held = False
            signal.setitimer(signal.ITIMER_REAL, 0)
        if self._waiting:
            raise Interrupted(self._waiting[0])

    def _handle(self, number: int, _: Any) -> None:
        if not self._held:
            raise Interrupted(number)
        self._waiting = (self._waiting[0], 0.0) if self._waiting else (number, time.monotonic() + _PATIENCE_S)

    def _beat(self, *_: Any) -> None:
        if self._held and self._waiting and time.monotonic() >= self._waiting[1]:
            raise Interrupted(self._waiting[0])
