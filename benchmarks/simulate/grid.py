"""Measures the grid that the cost model is fitted to: torch on one thread, in a process of its own with nothing beside it."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

import torch

from benchmarks.processes import ROOT
from benchmarks.simulate.cost import Cost, fit
from benchmarks.torch_alone import load, seconds

_ROWS = (1, 2, 4, 8, 16)
_LENGTHS = (8, 16, 32, 64, 96, 128)


def measure(times: int = 7) -> Cost:
    """The cost model of this machine, from medians of so many ``times``; takes half a minute."""
    command = [sys.executable, "-m", "benchmarks.simulate.grid", str(times)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    return fit([(rows, length, taken) for rows, length, taken in found["points"]], found["alone"])


def main() -> None:
    """Prints the points, and the part of its time that one row takes with every core."""
    model, cores, times = load(), torch.get_num_threads(), int(sys.argv[1])
    with torch.inference_mode():
        torch.set_num_threads(1)
        points = [(rows, length, _median(model, rows, length, times)) for length in _LENGTHS for rows in _ROWS]
        one = {length: taken for rows, length, taken in points if rows == 1}
        torch.set_num_threads(cores)
        alone = statistics.median(_median(model, 1, length, times) / one[length] for length in _LENGTHS)
    print(json.dumps({"points": points, "alone": alone}))


def _median(model: object, rows: int, length: int, times: int) -> float:
    batch = [[1] * length] * rows
    seconds(model, batch)
    return statistics.median(seconds(model, batch) for _ in range(times))


if __name__ == "__main__":
    main()
