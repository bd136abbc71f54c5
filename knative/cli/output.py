"""A command's output: tables and lines, or one JSON document with ``--json``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TextIO

from knative.cluster.errors import one_line

if TYPE_CHECKING:
    from knative.apply.rollout import Rollout, Watcher


class Output:
    """Results go to standard output, progress and notes to standard error."""

    def __init__(self, *, as_json: bool, verbose: bool) -> None:
        self.as_json, self._verbose = as_json, verbose

    def line(self, text: str) -> None:
        """A result; with ``--json`` it is progress, since the document is the result."""
        _print(sys.stderr if self.as_json else sys.stdout, text)

    def note(self, text: str) -> None:
        """Progress or an explanation, which is not a result."""
        _print(sys.stderr, text)

    def explain(self, text: str) -> None:
        """A note for ``--verbose``."""
        if self._verbose:
            self.note(text)

    def document(self, document: Any) -> None:
        """The only document of a run, which is printed with ``--json`` alone."""
        if self.as_json:
            print(json.dumps(document, indent=2, default=str))

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table, which is not printed with ``--json``."""
        if rows and not self.as_json:
            lines = [[column.upper() for column in columns], *([one_line(cell) for cell in row] for row in rows)]
            widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
            for line in lines:
                print("   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())

    def progress(self) -> Watcher:
        """Notes what changes in rollouts, each line once."""
        printed = set[str]()

        def show(rollouts: list[Rollout]) -> None:
            for rollout in rollouts:
                for what in (rollout.state.progress, *map(str, rollout.reasons)):
                    text = f"{rollout.name}: {what}"
                    if text not in printed:
                        printed.add(text)
                        self.note(text)

        return show


def _print(stream: TextIO, text: str) -> None:
    print(one_line(text), file=stream, flush=True)
