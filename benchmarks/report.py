"""A run as Markdown and plots: beside the results, or between the markers of a page."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.figures import all_figures
from benchmarks.results import Results
from benchmarks.tables import TABLES, setup

_MARKED = re.compile(r"(<!-- bench: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


class ReportError(ValueError):
    """A page whose markers are wrong."""


def tables(results: Results) -> dict[str, str]:
    """Marker -> table, of the parts that were measured."""
    found = {name: make(results) for name, (part, make) in TABLES.items() if results.records(part)}
    return {"setup": setup(results), **found} if found else {}


def write(results: Results, folder: Path) -> None:
    """``results.md`` and the plots."""
    made = tables(results)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.md").write_text("\n\n".join(f"## {name}\n\n{text}" for name, text in made.items()) + "\n")
    _write_figures(results, folder)


def fill(results: Results, page: Path) -> None:
    """Puts the tables between the page's markers, plots into the folder of its name; what was not measured stays. Raises `ReportError`."""
    page.write_text(filled(page.read_text(), tables(results)))
    _write_figures(results, page.with_suffix(""))


def filled(text: str, made: dict[str, str]) -> str:
    """A page with the tables between ``<!-- bench: NAME -->`` and ``<!-- end -->``. Raises `ReportError` for an unknown name."""
    known = {"setup", *TABLES}
    for _, name, _ in _MARKED.findall(text):
        if name not in known:
            raise ReportError(f"the page wants {name!r}; there are {', '.join(sorted(known))}")
    return _MARKED.sub(lambda found: f"{found[1]}\n{made[found[2]]}\n\n{found[3]}" if found[2] in made else found[0], text)


def _write_figures(results: Results, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, svg in all_figures(results).items():
        (folder / name).write_text(svg)
