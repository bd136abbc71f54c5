"""Measures the grid of batches that the cost model is fitted to: the agent's program on one thread,
in a process of its own.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

from agent.cpus import available
from agent.engines.cost import fit
from agent.engines.torch.device import TorchDevice
from agent.engines.torch.loading import load
from agent.engines.torch.program import TorchProgram
from benchmarks.simulate.cost import Machine
from loadkit.processes import ROOT

_ROWS = (1, 2, 4, 8, 16)
_LENGTHS = (8, 16, 32, 64, 96, 128)
_MODEL = ROOT / "models/tweets.pt"


def measure(times: int = 7) -> Machine:
    """This machine, from medians of several ``times``; takes half a minute."""
    command = [sys.executable, "-m", "benchmarks.simulate.grid", str(times)]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    output = json.loads(process.stdout)
    return Machine(fit([(rows, length, duration) for rows, length, duration in output["points"]]), output["alone"])


def main() -> None:
    """Prints the points, and the share of its time on one thread that one row takes with every
    core.
    """
    device, times = TorchDevice("cpu", available()), int(sys.argv[1])
    program = load(_MODEL, device)
    points = [(rows, length, _median(program, rows, length, times)) for length in _LENGTHS for rows in _ROWS]
    single = {length: duration for rows, length, duration in points if rows == 1}
    parallel = {length: _median(program, 1, length, times, alone=True) for length in _LENGTHS}
    print(json.dumps({"points": points, "alone": statistics.median(parallel[length] / single[length] for length in _LENGTHS)}))


def _median(program: TorchProgram, rows: int, length: int, times: int, *, alone: bool = False) -> float:
    program.seconds(rows, length, alone=alone)
    return statistics.median(program.seconds(rows, length, alone=alone) for _ in range(times))


if __name__ == "__main__":
    main()
