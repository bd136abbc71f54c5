"""Ends the process whatever its threads do: what must be done before is done, and nothing is waited for."""

from __future__ import annotations

import logging
import os
import threading
import time

from agent.listening import Listeners
from agent.store.models import Store

_log = logging.getLogger("agent")

#: Seconds in which the agent closes, at least.
_CLOSING_S = 0.5


class ProcessEnd:
    """The end of an agent's process that waits for nothing."""

    def __init__(self, listeners: Listeners, store: Store) -> None:
        self._listeners, self._store = listeners, store

    def at_once(self, reason: str, code: int) -> None:
        """Ends the process now, and logs why."""
        _log.warning("vAccel RPC agent ended at once: %s", reason)
        try:
            self._listeners.close()
            self._store.close(wait=False)
            logging.shutdown()
        finally:
            os._exit(code)

    def later(self, at: float, code: int) -> None:
        """Ends the process at that time, in monotonic seconds, unless it has ended by then.

        What closes waits for threads. One that loads a model, or reads from a disk that does not
        answer, cannot be ended, and keeps the interpreter from its end.
        """
        left = max(_CLOSING_S, at - time.monotonic())
        timer = threading.Timer(left, self.at_once, ["a thread was still at work", code])
        timer.daemon = True
        timer.start()
