"""Plain torch on the same texts, for `benchmarks.throughput`: a process of its own, all cores, float32, nothing beside it."""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path

import torch
from tokenizers import Tokenizer

from vaccel_rpc.modelfile import read_extras

_SIZES = (1, 2, 4, 8, 16, 32)


def main() -> None:
    """Reads texts (a JSON list) from a file; prints texts a second by batch size, and the median milliseconds of batch 1."""
    path, texts = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())
    tokenizer = Tokenizer.from_buffer(read_extras(path).tokenizer or b"")
    rows = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    model = torch.jit.load(str(path)).eval().float()
    with torch.inference_mode():
        for row in rows[:20]:
            model(*_batch([row]))
        single = statistics.median(_time(model, [row]) for row in rows)
        rates = {size: _rate(model, sorted(rows, key=len), size) for size in _SIZES}
    print(json.dumps({"single_ms": 1000 * single, "rates": rates}))


def _rate(model: torch.nn.Module, rows: list[list[int]], size: int) -> float:
    taken = sum(_time(model, rows[at : at + size]) for at in range(0, len(rows), size))
    return len(rows) / taken


def _time(model: torch.nn.Module, rows: list[list[int]]) -> float:
    began = time.perf_counter()
    model(*_batch(rows))
    return time.perf_counter() - began


def _batch(rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    longest = max(len(row) for row in rows)
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    return ids, mask


if __name__ == "__main__":
    main()
