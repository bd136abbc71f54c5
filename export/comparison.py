"""Compares model files: logits of the same texts, their differences, and texts per second."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from export import onnxrun
from export.archive import read_script
from export.refusal import reading
from export.samples import padded

#: Speed is measured at these batch sizes, on this many texts, in this many rounds. The files take
#: turns, and the best round counts, by the time of CPU: other load on the machine disturbs it least.
_BATCHES, _SAMPLE, _ROUNDS = (1, 4, 8, 16), 200, 5

Program = Callable[..., Tensor]
Rows = Sequence[Sequence[int]]


def load(path: Path) -> Program:
    """A file as the agent runs it on a CPU: TorchScript frozen, its weights in float32; or ONNX."""
    if path.suffix == ".onnx":
        with reading(path, "an ONNX file"):
            return onnxrun.program(path)
    program: Program = torch.jit.freeze(read_script(path).eval().float())
    return program


def logits_of(program: Program, rows: Rows, batch: int = 16) -> Tensor:
    """Logits, float32 [n, classes], in the order of ``rows``; similar lengths run together."""
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    with torch.inference_mode():
        chunks = (order[start : start + batch] for start in range(0, len(order), batch))
        parts = [program(*padded([rows[i] for i in chunk])) for chunk in chunks]
    return torch.cat(parts)[torch.tensor(order).argsort()]


def compare(logits: Tensor, exact: Tensor, labels: Tensor) -> dict[str, Any]:
    """Accuracy and macro F1 against ``labels``; agreement with and distance from ``exact``."""
    best, distance = logits.argmax(1), (logits - exact).abs()
    return {
        "accuracy": agreement(best, labels),
        "macro_f1": round(_macro_f1(best, labels, logits.shape[1]), 4),
        "agreement": agreement(best, exact.argmax(1)),
        "logits_away_mean": round(float(distance.mean()), 4),
        "logits_away_most": round(float(distance.max()), 4),
    }


def agreement(first: Tensor, second: Tensor) -> float:
    """The share of texts with the same class in both, to four digits."""
    return round(float((first == second).float().mean()), 4)


def _macro_f1(best: Tensor, labels: Tensor, classes: int) -> float:
    """The mean of 2 TP / (predicted + actual) over the classes."""
    hits = torch.bincount(labels[best == labels], minlength=classes)
    totals = torch.bincount(best, minlength=classes) + torch.bincount(labels, minlength=classes)
    return float((2 * hits / totals.clamp(min=1)).mean())


def speeds(programs: Mapping[str, Program], rows: Rows) -> dict[str, dict[str, int]]:
    """Texts per second of each program by batch size, on texts sorted by length."""
    order = sorted(rows, key=len)
    sample = order[:: max(1, len(order) // _SAMPLE)]
    measured: dict[str, dict[str, int]] = {name: {} for name in programs}
    for size in _BATCHES:
        batches = [padded(sample[start : start + size]) for start in range(0, len(sample), size)]
        rates: dict[str, list[float]] = {name: [] for name in programs}
        for _ in range(_ROUNDS):
            for name, program in programs.items():
                rates[name].append(len(sample) / _seconds(program, batches))
        for name, program_rates in rates.items():
            measured[name][str(size)] = round(max(program_rates))
    return measured


def _seconds(program: Program, batches: Sequence[tuple[Tensor, Tensor]]) -> float:
    with torch.inference_mode():
        for batch in batches[-2:]:
            program(*batch)
        began = time.process_time()
        for batch in batches:
            program(*batch)
        return time.process_time() - began
