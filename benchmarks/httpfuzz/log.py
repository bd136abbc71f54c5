"""A server's log while it is fuzzed.

Each piece is inspected and then discarded, so that the log may be long.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

_SIGNS = {
    "tracebacks": re.compile(rb"^Traceback \(most recent call last\)", re.MULTILINE),
    "control characters": re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]"),
    "lines of a request": re.compile(rb"^(?:hidden-|forged=)", re.MULTILINE),
}
_SHOWN = 3


class Log:
    """The file ``path``, to which the server appends.

    ``counts`` counts the signs, ``shown`` has excerpts around some of them.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.counts: Counter[str] = Counter()
        self.shown: list[str] = []

    def inspect(self) -> None:
        """Counts the signs of what must not be in the log, keeps some excerpts, and empties the
        file.
        """
        data = self.path.read_bytes()
        os.truncate(self.path, 0)
        for name, sign in _SIGNS.items():
            for match in sign.finditer(data):
                self.counts[name] += 1
                if self.counts[name] <= _SHOWN:
                    around = data[max(0, match.start() - 200) : match.end() + 1500]
                    self.shown.append(f"{name}: {around.decode(errors='backslashreplace')}")
