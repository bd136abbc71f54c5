"""Records as Markdown: medians of the repeats, with the least and the most in brackets."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.plan import Record
from loadkit.stats import Spread


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def shown(values: Sequence[float], digits: int = 1) -> str:
    """A median, with its spread where there is one."""
    spread = Spread.of(values)
    if math.isnan(spread.median):
        return ""
    text = f"{spread.median:,.{digits}f}"
    return text if len(values) == 1 else f"{text} ({spread.least:,.{digits}f}-{spread.most:,.{digits}f})"


def pick(records: Iterable[Record], field: str, **wanted: object) -> list[float]:
    """A field of the records that have these values."""
    return [one[field] for one in records if field in one and all(one.get(key) == value for key, value in wanted.items())]


def names(records: Iterable[Record], field: str) -> list[Any]:
    """A field's values, each once, in order."""
    return list(dict.fromkeys(one[field] for one in records if field in one))
