"""How the classifier writes results: a line for each text on standard output, and a summary on standard error."""

from __future__ import annotations

import json
import math
import statistics
import time
from collections import Counter

from function.cli.lines import InputLine
from function.core.answers import shown_alone
from function.core.classifier import Item, Prediction
from function.core.options import Options, Unusable, named
from function.core.texts import Pair
from vaccel_common import streams
from vaccel_common.log import escaped
from vaccel_rpc.errors import RpcError


class RunSummary:
    """What was classified, for standard error."""

    def __init__(self) -> None:
        self.lines = 0
        self._labels: Counter[str] = Counter()
        self._seconds: list[float] = []
        self._began = time.perf_counter()

    def add(self, item: Item, seconds: float) -> None:
        """One more line."""
        self.lines += 1
        self._labels[item.label if isinstance(item, Prediction) else "error"] += 1
        self._seconds.append(seconds)

    def show(self, before: str) -> None:
        """Count per label, lines a second, median and 99th percentile of the time a line took."""
        taken = time.perf_counter() - self._began
        labels = ", ".join(f"{label} {count}" for label, count in self._labels.most_common())
        times = ""
        if self._seconds:
            ordered = sorted(self._seconds)
            worst = ordered[math.ceil(0.99 * len(ordered)) - 1]
            times = f"; p50 {1000 * statistics.median(ordered):.1f} ms, p99 {1000 * worst:.1f} ms"
        speed = f"{self.lines} lines in {taken:.1f} s, {self.lines / taken:.1f} lines/s"
        streams.tell(escaped(f"{before}{speed}{times}; {labels or 'none'}"))


def as_text(line: InputLine, item: Item, ms: float, options: Options) -> str:  # noqa: ARG001 as `as_json`
    """The deployment guide's line for one text; ``ms``: how long its batch took."""
    said = f"Prediction: {item.label}" if isinstance(item, Prediction) else f"Error: {why(item)}"
    return f"Line {line.number}: Duration: {ms:.6g} ms {escaped(said)}\n"


def as_json(line: InputLine, item: Item, ms: float, options: Options) -> str:
    """One text's line of JSON: the function's answer for it, with the line's number, the text if it could be read, and the milliseconds."""
    answer = shown_alone(named(item) if isinstance(item, Unusable) else item, options)
    if "error" not in answer:
        answer.setdefault("truncated", False)
    texts = {} if isinstance(line.text, Unusable) else line.text._asdict() if isinstance(line.text, Pair) else {"text": line.text}
    return json.dumps({"line": line.number, **texts, **answer, "ms": round(ms, 3)}, allow_nan=False) + "\n"


def why(item: Unusable | RpcError) -> str:
    """Why a text has no prediction."""
    return str(named(item)) if isinstance(item, Unusable) else f"{item.name}: {item.message}"
