"""The CPU time of one form of a model, alone on one thread, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from agent.engines.registry import Engines
from benchmarks.torch_alone import tokens
from loadkit.processes import ROOT
from vaccel_rpc.tensors import Tensor, from_values

#: Passes through all texts, at least.
_PASSES = 3


@dataclass(frozen=True)
class FormJob:
    """``texts`` in batches of each of ``sizes``, for ``seconds`` each, by the model in ``file``."""

    file: str
    texts: Sequence[str]
    sizes: Sequence[int]
    seconds: float


def measure(job: FormJob, processes: int = 1) -> dict[int, float]:
    """Milliseconds of CPU for a text by batch size, in each of several processes at the same time."""
    with ThreadPoolExecutor(processes) as pool:
        runs = list(pool.map(_measure, [job] * processes))
    return {size: sum(run[str(size)] for run in runs) / processes for size in job.sizes}


def at(measured: dict[int, float], rows: float) -> float:
    """The value at a mean batch size, between those of the sizes around it."""
    low, high = max(size for size in measured if size <= rows), min(size for size in measured if size >= rows)
    return measured[low] if low == high else measured[low] + (measured[high] - measured[low]) * (rows - low) / (high - low)


def _measure(job: FormJob) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.form_alone"]
    process = subprocess.run(command, cwd=ROOT, input=json.dumps(asdict(job)), capture_output=True, text=True, check=True)
    measured: dict[str, float] = json.loads(process.stdout)
    return measured


def main() -> None:
    """Reads a `FormJob`; prints milliseconds of CPU for a text by batch size."""
    job = FormJob(**json.load(sys.stdin))
    engines = Engines()
    engines.open("cpu", 1)
    program: Any = engines.load(Path(job.file))
    rows = sorted(tokens(job.texts), key=len)
    print(json.dumps({size: _milliseconds(program, rows, size, job.seconds) for size in job.sizes}))


def _milliseconds(program: Any, rows: list[list[int]], size: int, seconds: float) -> float:
    """The median of several passes. Batches are joined beforehand: that is not the model's time."""
    batches = [_inputs(rows[at : at + size]) for at in range(0, len(rows), size)]
    passes: list[float] = []
    end = time.monotonic() + seconds
    while len(passes) <= _PASSES or time.monotonic() < end:
        began = time.process_time()
        for inputs in batches:
            program.run([inputs], alone=False)
        passes.append(1000 * (time.process_time() - began) / len(rows))
    return median(passes[1:])


def _inputs(rows: list[list[int]]) -> list[Tensor]:
    """Token ids and mask of rows, padded to the longest."""
    longest = max(map(len, rows))
    ids = [token for row in rows for token in row + [0] * (longest - len(row))]
    mask = [bit for row in rows for bit in [1] * len(row) + [0] * (longest - len(row))]
    return [from_values("int64", (len(rows), longest), values) for values in (ids, mask)]


if __name__ == "__main__":
    main()
