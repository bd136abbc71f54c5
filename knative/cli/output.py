"""What a command shows: tables on a terminal, plain lines elsewhere, one JSON document with ``--json``. Alone knows rich."""

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
        """A result; progress where the result is a document."""
        self._print(sys.stderr if self.as_json else sys.stdout, text)

    def note(self, text: str) -> None:
        """Something that is no result."""
        self._print(sys.stderr, text)

    def explain(self, text: str) -> None:
        """A note for ``--verbose``."""
        if self._verbose:
            self.note(text)

    def document(self, made: Any) -> None:
        """The one document; shown with ``--json`` only."""
        if self.as_json:
            print(json.dumps(made, indent=2, default=str))

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table; not with ``--json``."""
        if self.as_json or not rows:
            return
        if sys.stdout.isatty():
            _console(sys.stdout).print(_grid(columns, rows))
        else:
            print("\n".join(_aligned(columns, rows)))

    @contextlib.contextmanager
    def progress(self) -> Iterator[Watcher]:
        """Shows rollouts: a table that changes on a terminal, elsewhere a line whenever there is something new to say."""
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
    """Says each thing once."""

    def __init__(self, output: Output) -> None:
        self._output, self._said = output, set[str]()

    def show(self, rollouts: list[Rollout]) -> None:
        for rollout in rollouts:
            self._say(f"{rollout.name}: {rollout.state.progress}")
            for reason in rollout.reasons:
                self._say(f"{rollout.name}: {reason}")

    def _say(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
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

    made = Text("\n".join(one_line(line) for line in text.split("\n")))
    first = text.split(" ", 1)[0].rstrip(":")
    if first in _COLOURS:
        made.stylize(_COLOURS[first], 0, len(first))
    return made


def _aligned(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [[column.upper() for column in columns], *([one_line(cell) for cell in row] for row in rows)]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    return ["   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
