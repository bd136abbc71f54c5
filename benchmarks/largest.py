"""The largest batch that the agent's limits allow, and how long it takes on one thread, in a
process of its own.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from typing import Any

from agent.cpus import available
from agent.engines.torch.engine import TorchEngine
from agent.packing import BatchLimits
from benchmarks.torch_alone import MODEL
from loadkit.processes import ROOT

_LONGEST = 128


def measure() -> dict[str, Any]:
    """Runs this module in a process of its own; the result of `main`."""
    process = subprocess.run([sys.executable, "-m", "benchmarks.largest"], cwd=ROOT, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(process.stdout)
    return result


def main() -> None:
    """Prints ``rows``, ``length`` and ``ms`` as JSON.

    A single text of any length is always allowed.
    """
    program, limits = TorchEngine("cpu", available()).load(MODEL), BatchLimits()
    shapes = [(1, _LONGEST)]
    shapes += [
        (rows, length)
        for rows in range(2, limits.rows + 1)
        for length in range(1, _LONGEST + 1)
        if limits.allow(program.cost, rows, length)
    ]
    rows, length = max(shapes, key=lambda shape: program.cost.seconds(*shape))
    program.seconds(rows, length)
    ms = 1000 * statistics.median(program.seconds(rows, length) for _ in range(15))
    print(json.dumps({"rows": rows, "length": length, "ms": ms}))


if __name__ == "__main__":
    main()
