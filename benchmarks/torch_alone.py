"""Plain torch on the same texts, in a process of its own, in float32."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from loadkit.processes import ROOT
from vaccel_common.modelfile import read_extras

MODEL = ROOT / "models/tweets.pt"
_SIZES = (4, 8, 16, 32)


def measure(texts: Sequence[str]) -> dict[str, Any]:
    """Runs this module in a process of its own; the result of `main`."""
    command = [sys.executable, "-m", "benchmarks.torch_alone"]
    process = subprocess.run(command, cwd=ROOT, input=json.dumps(list(texts)), capture_output=True, text=True, check=True)
    figures: dict[str, Any] = json.loads(process.stdout)
    return figures


def main() -> None:
    """Reads a JSON list of texts; prints the milliseconds of each text alone, and texts a second by
    order and batch size.
    """
    rows = tokens(json.load(sys.stdin))
    model = load()
    with torch.inference_mode():
        for row in rows[:20]:
            model(*batch([row]))
        single = [1000 * seconds(model, [row]) for row in rows]
        arrival = random.Random(1).sample(rows, len(rows))
        rates = {
            order: {size: _rate(model, ordered, size) for size in _SIZES}
            for order, ordered in (("sorted", sorted(rows, key=len)), ("arrival", arrival))
        }
    print(json.dumps({"single_ms": single, "rates": rates}))


def tokens(texts: Sequence[str], path: Path = MODEL) -> list[list[int]]:
    """The token ids of each text, by the model's tokenizer."""
    tokenizer = Tokenizer.from_buffer(read_extras(path).tokenizer or b"")
    tokenizer.enable_truncation(128)
    return [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]


def load(path: Path = MODEL) -> Any:
    """The model in the form that torch runs fastest: float32, frozen."""
    return torch.jit.freeze(torch.jit.load(str(path)).eval().float())


def seconds(model: Any, rows: list[list[int]]) -> float:
    """How long one batch takes."""
    began = time.perf_counter()
    model(*batch(rows))
    return time.perf_counter() - began


def batch(rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and mask of rows, padded to the longest."""
    longest = max(len(row) for row in rows)
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    return ids, mask


def _rate(model: Any, rows: list[list[int]], size: int) -> float:
    elapsed = sum(seconds(model, rows[at : at + size]) for at in range(0, len(rows), size))
    return len(rows) / elapsed


if __name__ == "__main__":
    main()
