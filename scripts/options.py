"""``make docs``: docs/options.md, from the tables and options that the programs themselves are made of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from agent.__main__ import main as agent
from function.cli.classifier import main as classifier
from function.config import VARIABLES
from function.core.options import OPTIONS

_FILE = Path(__file__).parent.parent / "docs/options.md"


def text() -> str:
    """The whole file."""
    return "\n".join(
        [
            "# Options\n\nMade by `make docs` from the code's own tables.\n",
            "## The function: environment variables\n",
            *_table(
                ("variable", "meaning", "default"), [(f"`{name}`", meaning, default) for name, default, meaning in VARIABLES]
            ),
            "\n## What a request may ask for\n",
            *_table(
                ("option", "meaning", "values", "default"),
                [(f"`{name}`", meaning, values, default) for name, values, default, meaning in OPTIONS],
            ),
            "\n## `vaccel-rpc-agent`, `python -m agent`\n",
            *_options(agent),
            "\n## `vaccel-classifier`, `python -m function.classifier`\n",
            *_options(classifier),
            "",
        ]
    )


def _options(command: click.Command) -> list[str]:
    context = click.Context(command)
    rows = []
    for option in command.params:
        found = option.get_help_record(context) if isinstance(option, click.Option) else None
        if found:
            names, meaning = found
            rows.append((f"`{names}`", " ".join(meaning.split())))
    return _table(("option", "meaning"), rows)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    lines = [head, tuple("---" for _ in head), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]


if __name__ == "__main__":
    _FILE.write_text(text())
