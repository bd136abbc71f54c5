"""The shipped model as other servers run it: its own tokenizer, and torch or ONNX Runtime in the
worker's own process.
"""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from loadkit.processes import ROOT
from loadkit.texts import LABELS

MODEL = ROOT / "models/tweets.pt"
#: The folder of the ONNX files, FORM.onnx, which `benchmarks.peers.files` makes.
FOLDER = ROOT / "build/bench/peers"
_MAX_TOKENS = 128

#: Logits, a list for each text, of token ids and attention masks.
Logits = Callable[[list[list[int]], list[list[int]]], list[list[float]]]


def setting(name: str) -> int:
    """One of the benchmark's settings, from the environment."""
    return int(os.environ[f"PEER_{name}"])


class PeerClassifier:
    """Classifies texts; a batch is padded to its longest text."""

    def __init__(self) -> None:
        form, threads = os.environ["PEER_FORM"], setting("THREADS")
        self._tokenizer: Any = tokenizer()
        run = by_torch(threads) if form == "torch" else by_onnxruntime(FOLDER / f"{form}.onnx", threads, spin=setting("SPIN") > 0)
        self._logits: Logits = run
        for _ in range(3):
            self.classify(["a warm cup of tea"] * 2)

    def classify(self, texts: list[str]) -> list[dict[str, Any]]:
        """A prediction for each text."""
        ids, mask = encoded(self._tokenizer, texts)
        return [_prediction(softmax(row)) for row in self._logits(ids, mask)]


def tokenizer() -> Any:
    """The model's tokenizer, which truncates and pads."""
    with zipfile.ZipFile(MODEL) as file:
        name = next(name for name in file.namelist() if name.endswith("/extra/tokenizer.json"))
        loaded: Any = Tokenizer.from_buffer(file.read(name))
    loaded.enable_truncation(_MAX_TOKENS)
    loaded.enable_padding()
    return loaded


def encoded(tokenizer: Any, texts: Sequence[str]) -> tuple[list[list[int]], list[list[int]]]:
    """The token ids and the attention mask of each text, padded to the longest."""
    rows = [tokenizer.encode(texts[0])] if len(texts) == 1 else tokenizer.encode_batch(list(texts))
    return [row.ids for row in rows], [row.attention_mask for row in rows]


def by_torch(threads: int) -> Logits:
    """torch with the shipped file, in float32 and frozen."""
    import torch

    torch.set_num_threads(threads)
    model: Any = torch.jit.freeze(torch.jit.load(str(MODEL)).eval().float())

    def run(ids: list[list[int]], mask: list[list[int]]) -> list[list[float]]:
        with torch.inference_mode():
            logits: list[list[float]] = model(torch.tensor(ids), torch.tensor(mask)).tolist()
        return logits

    return run


def by_onnxruntime(path: Path, threads: int, *, spin: bool) -> Logits:
    """ONNX Runtime's CPU provider with all its optimizations of the graph."""
    import numpy as np
    import onnxruntime  # type: ignore[import-not-found,import-untyped,unused-ignore] # in the servers' environments

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spin else "0")
    session: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(ids: list[list[int]], mask: list[list[int]]) -> list[list[float]]:
        inputs = {"input_ids": np.array(ids, np.int64), "attention_mask": np.array(mask, np.int64)}
        logits: list[list[float]] = session.run(None, inputs)[0].tolist()
        return logits

    return run


def softmax(logits: Sequence[float]) -> list[float]:
    """The scores of a text's logits."""
    largest = max(logits)
    powers = [math.exp(value - largest) for value in logits]
    return [power / sum(powers) for power in powers]


def _prediction(scores: list[float]) -> dict[str, Any]:
    best = max(range(len(scores)), key=scores.__getitem__)
    return {"label": LABELS[best], "score": scores[best], "scores": dict(zip(LABELS, scores, strict=True))}
