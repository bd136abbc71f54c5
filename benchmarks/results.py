"""The file that a run writes: each part's records, with when and on what they were measured."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.plan import Record

FORMAT = 1


@dataclass
class Results:
    """``parts``: name -> ``{"at", "quick", "machine", "records"}``; ``texts``: how many, whose, and their lengths."""

    texts: Record = field(default_factory=dict)
    parts: dict[str, Record] = field(default_factory=dict)

    def records(self, part: str) -> list[Record]:
        """A part's records; none where it was not measured."""
        found: list[Record] = self.parts.get(part, {}).get("records", [])
        return found

    def add(self, part: str, records: list[Record], machine: dict[str, str], *, quick: bool) -> None:
        """Puts a part in the place of what was measured before."""
        at = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
        self.parts[part] = {"at": at, "quick": quick, "machine": machine, "records": records}

    def write(self, path: Path) -> None:
        """Writes the file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"format": FORMAT, "texts": self.texts, "parts": self.parts}, indent=1) + "\n")


def read(path: Path) -> Results:
    """What a run wrote; nothing where there is no file. Raises ``ValueError``."""
    if not path.exists():
        return Results()
    data = json.loads(path.read_text())
    if data.get("format") != FORMAT:
        raise ValueError(f"{path} is not of format {FORMAT}: measure again")
    return Results(data["texts"], data["parts"])
