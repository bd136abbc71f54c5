"""Texts of random words of a vocabulary, to calibrate and compare variants without data."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from tokenizers import Tokenizer
from torch import Tensor


def made_up(tokenizer: Tokenizer, count: int, seed: int) -> list[str]:
    """``count`` texts of 1 to 60 random words; the same seed gives the same texts."""
    rng = random.Random(seed)
    words = sorted(word for word in tokenizer.get_vocab() if word.isalpha())
    return [" ".join(rng.choices(words, k=rng.randint(1, 60))) for _ in range(count)]


def token_ids(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """The token ids of each text, without padding."""
    return [encoding.ids for encoding in tokenizer.encode_batch_fast(list(texts))]


def padded(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """``input_ids`` and ``attention_mask``, int64 [n, t], padded with 0 to the longest row."""
    longest = max(len(row) for row in rows)
    ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    return ids, mask
