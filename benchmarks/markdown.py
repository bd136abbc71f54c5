"""Records as Markdown: medians of the repeats, with minimum and maximum in brackets."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.plan import Record
from loadkit.stats import Spread


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table of a head and rows."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def shown(values: Sequence[float], digits: int = 1) -> str:
    """A median, with its spread where there are several values; empty without any."""
    spread = Spread.of(values)
    if math.isnan(spread.median):
        return ""
    text = f"{spread.median:,.{digits}f}"
    return text if len(values) == 1 else f"{text} ({spread.minimum:,.{digits}f}-{spread.maximum:,.{digits}f})"


def pick(records: Iterable[Record], field: str, **values: object) -> list[float]:
    """The values of a field in the records that have these other values."""
    return [
        record[field] for record in records if field in record and all(record.get(key) == value for key, value in values.items())
    ]


def names(records: Iterable[Record], field: str) -> list[Any]:
    """The different values of a field, in the order of the records."""
    return list(dict.fromkeys(record[field] for record in records if field in record))
