"""The file of results: the records of each part, when they were measured and on which machine."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.plan import Record
from vaccel_common.textfile import TextFileError, read_text

FORMAT = 1


@dataclass
class Results:
    """``parts``: name -> ``{"at", "quick", "machine", "records"}``; ``texts``: their number, source
    and lengths.
    """

    texts: Record = field(default_factory=dict)
    parts: dict[str, Record] = field(default_factory=dict)

    def records(self, part: str) -> list[Record]:
        """The records of a part; none where it was not measured."""
        records: list[Record] = self.parts.get(part, {}).get("records", [])
        return records

    def add(self, part: str, records: list[Record], machine: dict[str, str], *, quick: bool) -> None:
        """Replaces the earlier records of a part."""
        at = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
        self.parts[part] = {"at": at, "quick": quick, "machine": machine, "records": records}

    def write(self, path: Path) -> None:
        """Writes the results to a file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"format": FORMAT, "texts": self.texts, "parts": self.parts}, indent=1) + "\n")


def read(path: Path) -> Results:
    """The results in a file, or empty ones where it does not exist.

    Raises `TextFileError` for a file of another format, or an older one.
    """
    if not path.exists():
        return Results()
    try:
        data = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise TextFileError(f"{path} is not a file of results: {error}") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise TextFileError(f"{path} is not of format {FORMAT}: measure again")
    return Results(data["texts"], data["parts"])
