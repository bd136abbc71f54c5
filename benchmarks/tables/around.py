"""The table of the CPU time around the model."""

from __future__ import annotations

from benchmarks.markdown import names, shown, table
from benchmarks.plan import Record
from benchmarks.results import Results
from loadkit.stats import Spread

#: Parts below this many milliseconds are left out.
_SMALL = 0.01
#: The threads that run the model: most of what they do besides does not show in samples that hold
#: Python's lock.
_WORKERS = "agent, other threads"


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
    ("of it the agent's other threads", 3, lambda record: record["ms"][_WORKERS] - record["alone_ms"]),
    ("of that padding, by its share of the tokens", 3, lambda record: record["padding"] * record["alone_ms"]),
    ("rows in a batch, mean", 2, lambda record: record["rows"]),
    ("padding, of the tokens", 3, lambda record: record["padding"]),
    ("requests a second", 0, lambda record: record["rate"]),
)


def _parts(forms: dict[str, list[Record]]) -> str:
    """Where it goes: the CPU time of threads, divided by their samples."""
    labels = dict.fromkeys(label for records in forms.values() for record in records for label in _divided(record))
    rows = {label: [[_divided(record).get(label, 0.0) for record in records] for records in forms.values()] for label in labels}
    medians = {label: max(Spread.of(values).median for values in columns) for label, columns in rows.items()}
    ordered = sorted((label for label in rows if medians[label] >= _SMALL), key=lambda label: -medians[label])
    return table(("part, sampled", *forms), [(label, *(shown(values, 3) for values in rows[label])) for label in ordered])


def _divided(record: Record) -> dict[str, float]:
    """Milliseconds by process, threads and part."""
    divided: dict[str, float] = {}
    for process, shares in record["stacks"].items():
        for name, share in shares.items():
            threads, _, part = name.partition(": ")
            group = f"{process}, {threads}"
            sampled = sum(other for label, other in shares.items() if label.startswith(threads))
            if group != _WORKERS:
                divided[f"{group}: {part}"] = record["ms"][group] * share / sampled
    return divided
