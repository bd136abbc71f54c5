"""An engine for ``--plugin`` that takes long to open."""

from __future__ import annotations

import logging
import time

from tests.support.sleepplugin import SleepEngine

SUFFIXES = (".slow",)


def open(device: str, threads: int) -> SleepEngine:  # noqa: A001, ARG001 the contract's name and arguments
    logging.getLogger("agent").info("opening")
    time.sleep(30)
    return SleepEngine()
