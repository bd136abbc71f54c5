"""Ends the process whatever its threads do: what must be done before is done, and nothing is waited for."""

from __future__ import annotations

import logging
import os

from agent.listening import Listeners
from agent.store.models import Store

_log = logging.getLogger("agent")


class ProcessEnd:
    """The end of an agent's process that waits for nothing."""

    def __init__(self, listeners: Listeners, store: Store) -> None:
        self._listeners, self._store = listeners, store

    def at_once(self, reason: str, code: int) -> None:
        """Ends the process now, and logs why."""
        _log.warning("vAccel RPC agent ended at once: %s", reason)
        self._listeners.close()
        self._store.close(wait=False)
        logging.shutdown()
        os._exit(code)
