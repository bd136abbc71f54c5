"""The model that ships, by its own means: token ids from the tokenizer in the file, logits from torch in this process."""

from __future__ import annotations

import functools
import hashlib
import zipfile
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from tests.support.peers.dialects import RawTensor, int64

PATH = Path(__file__).parents[3] / "models" / "tweets.pt"
TEXTS = (
    "what a lovely morning, coffee in the garden",
    "the bus is late again and nobody says why",
    "this referee is useless",
    "birds",
    "my neighbour's dog sings along with the ice cream van, every single afternoon, and it never gets old for either of them",
)


@functools.cache
def _tokenizer() -> Tokenizer:
    with zipfile.ZipFile(PATH) as archive:
        name = next(name for name in archive.namelist() if name.endswith("/extra/tokenizer.json"))
        return Tokenizer.from_str(archive.read(name).decode())


@functools.cache
def data() -> bytes:
    """The file."""
    return PATH.read_bytes()


@functools.cache
def digest() -> str:
    """The file's sha256."""
    return hashlib.sha256(data()).hexdigest()


def inputs(text: str) -> list[RawTensor]:
    """``input_ids`` and ``attention_mask`` of one text, int64 [1, t]."""
    ids: list[int] = _tokenizer().encode(text).ids
    return [int64(ids), int64([1] * len(ids))]


@functools.cache
def logits(text: str) -> list[float]:
    """What torch itself answers for a text, three numbers."""
    import torch  # here, because the fuzzer's client needs the texts and not the model: 2 s and 200 MiB

    ids = torch.tensor([_tokenizer().encode(text).ids])
    with torch.inference_mode():
        return [float(value) for value in _model()(ids, torch.ones_like(ids))[0]]


@functools.cache
def _model() -> Any:
    import torch

    torch.set_num_threads(1)
    model: Any = torch.jit.load(str(PATH))
    return model.float().eval()


def differ(left: list[float], right: list[float], tolerance: float = 1e-4) -> bool:
    """Whether two answers are not the same within the tolerance, shape included."""
    return len(left) != len(right) or any(not abs(a - b) <= tolerance for a, b in zip(left, right, strict=True))
