"""An engine for ``--plugin`` whose programs take memory: a ``.heavy`` file says how many MiB. No torch."""

from __future__ import annotations

import time
from pathlib import Path

from tests.support.toyplugin import Multiplies, ToyEngine

SUFFIXES = (".heavy",)


class Heavy(Multiplies):
    """int64 [n] -> int64 [n], each number doubled."""

    def __init__(self, name: str, mib: int) -> None:
        super().__init__(name, 2)
        # Not zeros, whose pages the system would not provide before they are written.
        self._weights = b"w" * (mib << 20)


class HeavyEngine(ToyEngine):
    """The engine: it loads for a fifth of a second."""

    def load(self, path: Path) -> Heavy:
        time.sleep(0.2)
        return Heavy(path.stem, int(path.read_text()))


def open(device: str, threads: int) -> HeavyEngine:  # noqa: A001, ARG001 the contract's name and arguments
    return HeavyEngine(threads)
