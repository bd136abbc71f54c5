"""A command's output: tables on a terminal, plain lines elsewhere, one JSON document with
``--json``. Only this module uses rich.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from knative.cluster.errors import one_line

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from knative.apply.rollout import Rollout, Watcher

_COLOURS = {
    "yes": "green", "passed": "green", "ready": "green", "created": "green", "no": "red", "failed": "red", "skipped": "yellow",
    "configured": "yellow", "unknown": "yellow", "kept": "yellow", "deleted": "red",
}  # fmt: skip


class Output:
    """Results go to standard output, progress and notes to standard error."""

    def __init__(self, *, as_json: bool, verbose: bool) -> None:
        self.as_json, self._verbose = as_json, verbose

    def line(self, text: str) -> None:
        """A result; with ``--json`` it is progress, since the document is the result."""
        self._print(sys.stderr if self.as_json else sys.stdout, text)

    def note(self, text: str) -> None:
        """Progress or an explanation, which is not a result."""
        self._print(sys.stderr, text)

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
        if self.as_json or not rows:
            return
        if sys.stdout.isatty():
            _console(sys.stdout).print(_grid(columns, rows))
        else:
            print("\n".join(_aligned(columns, rows)))

    @contextlib.contextmanager
    def progress(self) -> Iterator[Watcher]:
        """Shows rollouts: as a table that is updated on a terminal, elsewhere as a line for each
        change.
        """
        if not sys.stderr.isatty():
            yield _Lines(self).show
            return
        from rich.live import Live

        with Live(console=_console(sys.stderr), transient=True) as live:
            yield lambda rollouts: live.update(_progress(rollouts))

    def _print(self, stream: TextIO, text: str) -> None:
        if stream.isatty():
            _console(stream).print(_coloured(text), soft_wrap=True)
        else:
            print(one_line(text), file=stream, flush=True)


class _Lines:
    """Prints each line once."""

    def __init__(self, output: Output) -> None:
        self._output, self._printed = output, set[str]()

    def show(self, rollouts: list[Rollout]) -> None:
        for rollout in rollouts:
            self._print_once(f"{rollout.name}: {rollout.state.progress}")
            for reason in rollout.reasons:
                self._print_once(f"{rollout.name}: {reason}")

    def _print_once(self, text: str) -> None:
        if text not in self._printed:
            self._printed.add(text)
            self._output.note(text)


def _console(stream: TextIO) -> Console:
    from rich.console import Console

    return Console(file=stream, highlight=False, markup=False, emoji=False)


def _progress(rollouts: list[Rollout]) -> RenderableType:
    rows = [
        (
            rollout.name,
            "ready" if rollout.state.ready else rollout.state.progress,
            "\n".join(dict.fromkeys(map(str, rollout.reasons))),
        )
        for rollout in rollouts
    ]
    return _grid(("object", "progress", "why"), rows)


def _grid(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> RenderableType:
    from rich import box
    from rich.table import Table

    table = Table(*columns, box=box.SIMPLE_HEAD)
    for row in rows:
        table.add_row(*(_coloured(cell) for cell in row))
    return table


def _coloured(text: str) -> Any:
    from rich.text import Text

    styled = Text("\n".join(one_line(line) for line in text.split("\n")))
    first = text.split(" ", 1)[0].rstrip(":")
    if first in _COLOURS:
        styled.stylize(_COLOURS[first], 0, len(first))
    return styled


def _aligned(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [[column.upper() for column in columns], *([one_line(cell) for cell in row] for row in rows)]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    return ["   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
