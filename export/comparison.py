"""Models side by side: logits of the same texts, how they differ, and texts a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from export.samples import padded

#: Batch sizes by which speed is measured, texts that are run for it, and rounds; files take turns, and what else the machine does
#: takes least from the best round.
_BATCHES, _SAMPLE, _ROUNDS = (1, 4, 8, 16), 200, 5

Program = Callable[..., Tensor]
Rows = Sequence[Sequence[int]]


def load(path: Path) -> Program:
    """A TorchScript file as the agent runs it on a CPU: in float32 where its program does not say otherwise, frozen."""
    program: Program = torch.jit.freeze(torch.jit.load(str(path)).eval().float())
    return program


def logits_of(program: Program, rows: Rows, batch: int = 16) -> Tensor:
    """Logits float32 [n, classes] of token ids, in their order; texts of similar length are run together."""
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    with torch.inference_mode():
        chunks = (order[start : start + batch] for start in range(0, len(order), batch))
        parts = [program(*padded([rows[i] for i in chunk])) for chunk in chunks]
    return torch.cat(parts)[torch.tensor(order).argsort()]


def compare(logits: Tensor, exact: Tensor, labels: Tensor) -> dict[str, Any]:
    """Accuracy and macro F1 against ``labels``; agreement with, and distance of the logits from, the ``exact`` ones."""
    best, away = logits.argmax(1), (logits - exact).abs()
    return {
        "accuracy": agreement(best, labels),
        "macro_f1": round(_macro_f1(best, labels, logits.shape[1]), 4),
        "agreement": agreement(best, exact.argmax(1)),
        "logits_away_mean": round(float(away.mean()), 4),
        "logits_away_most": round(float(away.max()), 4),
    }


def agreement(one: Tensor, other: Tensor) -> float:
    """The share of equal classes, to four digits."""
    return round(float((one == other).float().mean()), 4)


def _macro_f1(best: Tensor, labels: Tensor, classes: int) -> float:
    """The mean of 2 TP / (predicted + there) over the classes."""
    hits = torch.bincount(labels[best == labels], minlength=classes)
    both = torch.bincount(best, minlength=classes) + torch.bincount(labels, minlength=classes)
    return float((2 * hits / both.clamp(min=1)).mean())


def speeds(programs: Mapping[str, Program], rows: Rows) -> dict[str, dict[str, int]]:
    """Texts a second of each program by batch size, on texts sorted by length: the best of rounds that they take in turn."""
    order = sorted(rows, key=len)
    sample = order[:: max(1, len(order) // _SAMPLE)]
    measured: dict[str, dict[str, int]] = {name: {} for name in programs}
    for size in _BATCHES:
        batches = [padded(sample[start : start + size]) for start in range(0, len(sample), size)]
        rates: dict[str, list[float]] = {name: [] for name in programs}
        for _ in range(_ROUNDS):
            for name, program in programs.items():
                rates[name].append(len(sample) / _seconds(program, batches))
        for name, found in rates.items():
            measured[name][str(size)] = round(max(found))
    return measured


def _seconds(program: Program, batches: Sequence[tuple[Tensor, Tensor]]) -> float:
    with torch.inference_mode():
        for batch in batches[-2:]:
            program(*batch)
        began = time.perf_counter()
        for batch in batches:
            program(*batch)
        return time.perf_counter() - began
