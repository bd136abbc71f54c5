"""The table of the CPU time around the model."""

from __future__ import annotations

from benchmarks.markdown import names, shown, table
from benchmarks.plan import Record
from benchmarks.results import Results
from loadkit.stats import Spread

#: Parts below this share of their process are summed up.
_SMALL = 0.01
#: The process that runs the model.
_WITH_MODEL = "agent"


def around(results: Results) -> str:
    """CPU time for a text by form and process, less the model's, and where it goes."""
    records = results.records("around")
    forms = {name: [record for record in records if record["form"] == name] for name in names(records, "form")}
    rows = [
        (label, *(shown([value(record) for record in chosen], digits) for chosen in forms.values()))
        for label, digits, value in _ROWS
    ]
    return table(("for a text, ms of CPU", *forms), rows) + "\n\n" + _parts(forms)


def _around(record: Record) -> float:
    whole: float = sum(record["ms"].values()) - record["alone_ms"]
    return whole


_ROWS = (
    ("function, event loop", 3, lambda record: record["ms"]["function, event loop"]),
    ("function, other threads", 3, lambda record: record["ms"]["function, other threads"]),
    ("agent, event loop", 3, lambda record: record["ms"]["agent, event loop"]),
    ("agent, other threads", 3, lambda record: record["ms"]["agent, other threads"]),
    ("the model alone on one thread", 3, lambda record: record["alone_ms"]),
    ("the same beside itself on the other core", 3, lambda record: record["beside_ms"]),
    ("**around the model**: the sum less the model alone", 3, _around),
    ("rows in a batch, mean", 2, lambda record: record["rows"]),
    ("padding, of the tokens", 3, lambda record: record["padding"]),
    ("requests a second", 0, lambda record: record["rate"]),
)


def _parts(forms: dict[str, list[Record]]) -> str:
    """Where it goes: the samples' shares of each process's CPU time without the model's."""
    parts = dict.fromkeys(
        (process, part)
        for records in forms.values()
        for record in records
        for process, shares in record["stacks"].items()
        for part, share in shares.items()
        if share >= _SMALL
    )
    rows = [
        (f"{process}, {part}", *(shown([_part(record, process, part) for record in records], 3) for records in forms.values()))
        for process, part in sorted(parts, key=lambda part: -_median(forms, *part))
    ]
    return table(("part, sampled", *forms), rows)


def _part(record: Record, process: str, part: str) -> float:
    whole: float = sum(ms for name, ms in record["ms"].items() if name.startswith(process))
    if process == _WITH_MODEL:
        whole -= record["alone_ms"]
    share: float = record["stacks"][process].get(part, 0.0)
    return share * whole


def _median(forms: dict[str, list[Record]], process: str, part: str) -> float:
    return max(Spread.of([_part(record, process, part) for record in records]).median for records in forms.values())
