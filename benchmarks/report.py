"""Writes a run as Markdown and plots: beside the results, or between the markers of a page."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.figures import all_figures
from benchmarks.results import Results
from benchmarks.tables import TABLES, setup

_MARKED = re.compile(r"(<!-- bench: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


class ReportError(ValueError):
    """A page with an unknown marker."""


def tables(results: Results) -> dict[str, str]:
    """The tables of what was measured, by marker."""
    made = {name: make(results) for name, (part, make) in TABLES.items() if results.records(part)}
    texts = {name: text for name, text in made.items() if text}
    return {"setup": setup(results), **texts} if texts else {}


def write(results: Results, folder: Path) -> None:
    """Writes ``results.md`` and the plots into a folder."""
    texts = tables(results)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.md").write_text("\n\n".join(f"## {name}\n\n{text}" for name, text in texts.items()) + "\n")
    _write_figures(results, folder)


def fill(results: Results, page: Path) -> None:
    """Writes the tables between the page's markers, and the plots into the folder of its name.

    The tables of parts that were not measured stay. Raises `ReportError`.
    """
    page.write_text(filled(page.read_text(), tables(results)))
    _write_figures(results, page.with_suffix(""))


def filled(text: str, texts: dict[str, str]) -> str:
    """The page with each table between ``<!-- bench: NAME -->`` and ``<!-- end -->``.

    Raises `ReportError`.
    """
    known = {"setup", *TABLES}
    for _, name, _ in _MARKED.findall(text):
        if name not in known:
            raise ReportError(f"the page has a marker {name!r}; the known ones are {', '.join(sorted(known))}")
    return _MARKED.sub(lambda match: f"{match[1]}\n{texts[match[2]]}\n\n{match[3]}" if match[2] in texts else match[0], text)


def _write_figures(results: Results, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, svg in all_figures(results).items():
        (folder / name).write_text(svg)
