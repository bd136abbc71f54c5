"""The shipped model as other servers run it: the same file and tokenizer, with torch in the
worker's own process.
"""

from __future__ import annotations

import os
import zipfile
from typing import Any

import torch
from tokenizers import Tokenizer

from loadkit.processes import ROOT
from loadkit.texts import LABELS

MODEL = ROOT / "models/tweets.pt"
_MAX_TOKENS = 128


def setting(name: str) -> int:
    """One of the benchmark's settings, from the environment."""
    return int(os.environ[f"PEER_{name}"])


class PeerClassifier:
    """Classifies texts; a batch is padded to its longest text."""

    def __init__(self) -> None:
        torch.set_num_threads(setting("THREADS"))
        with zipfile.ZipFile(MODEL) as file:
            name = next(name for name in file.namelist() if name.endswith("/extra/tokenizer.json"))
            self._tokenizer: Any = Tokenizer.from_buffer(file.read(name))
        self._tokenizer.enable_truncation(_MAX_TOKENS)
        self._tokenizer.enable_padding()
        self._model: Any = torch.jit.freeze(torch.jit.load(str(MODEL)).eval().float())
        for _ in range(3):
            self.classify(["a warm cup of tea"] * 2)

    def classify(self, texts: list[str]) -> list[dict[str, Any]]:
        """A prediction for each text."""
        rows = self._tokenizer.encode_batch(texts)
        ids, mask = torch.tensor([row.ids for row in rows]), torch.tensor([row.attention_mask for row in rows])
        with torch.inference_mode():
            scores = torch.softmax(self._model(ids, mask), 1).tolist()
        return [_prediction(row) for row in scores]


def _prediction(scores: list[float]) -> dict[str, Any]:
    best = max(range(len(scores)), key=scores.__getitem__)
    return {"label": LABELS[best], "score": scores[best], "scores": dict(zip(LABELS, scores, strict=True))}
