"""Tweets as token ids and targets, in batches of similar length; the logits of a model for them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from training.data import LABELS, Tweet

#: Rows of one batch where nothing is trained.
_ROWS = 64


class Example(NamedTuple):
    """A tweet's token ids, its class, and the share of its raters' votes for each class."""

    ids: list[int]
    label: int
    target: tuple[float, ...]


def encode(tokenizer: Tokenizer, tweets: Sequence[Tweet]) -> list[Example]:
    """An example of each tweet, in the order of ``tweets``."""
    codes = tokenizer.encode_batch_fast([tweet.text for tweet in tweets])
    return [Example(code.ids, tweet.label, tweet.votes) for code, tweet in zip(codes, tweets, strict=True)]


def labels_of(examples: Sequence[Example]) -> Tensor:
    """The classes, int64 [n]."""
    return torch.tensor([example.label for example in examples])


def draw(examples: Sequence[Example], share: float, rng: random.Random) -> list[Example]:
    """The examples of an epoch: a random ``share`` of those that all raters put into the commonest class, and all others."""
    common = max(range(len(LABELS)), key=[example.label for example in examples].count)
    clear = [example for example in examples if example.target[common] == 1]
    others = [example for example in examples if example.target[common] != 1]
    return others + rng.sample(clear, round(share * len(clear)))


def batches(examples: Sequence[Example], size: int, rng: random.Random) -> list[list[Example]]:
    """Batches of at most ``size`` examples of similar length, in random order: little of the work is padding."""
    order = sorted(examples, key=lambda example: (len(example.ids), rng.random()))
    chunks = [order[i : i + size] for i in range(0, len(order), size)]
    rng.shuffle(chunks)
    return chunks


def collate(batch: Sequence[Example]) -> tuple[Tensor, Tensor, Tensor]:
    """``input_ids`` and ``attention_mask``, int64 [n, t], padded with 0; targets, float32 [n, classes]."""
    longest = max(len(example.ids) for example in batch)
    ids = torch.tensor([example.ids + [0] * (longest - len(example.ids)) for example in batch])
    mask = torch.tensor([[1] * len(example.ids) + [0] * (longest - len(example.ids)) for example in batch])
    return ids, mask, torch.tensor([example.target for example in batch])


@torch.no_grad()
def logits_of(model: nn.Module, examples: Sequence[Example]) -> Tensor:
    """Logits, float32 [n, classes], in the order of ``examples``; the model is in evaluation mode afterwards."""
    model.eval()
    order = sorted(range(len(examples)), key=lambda i: len(examples[i].ids))
    out = torch.empty(len(examples), len(LABELS))
    for start in range(0, len(order), _ROWS):
        rows = order[start : start + _ROWS]
        ids, mask, _ = collate([examples[i] for i in rows])
        out[rows] = model(ids, mask).float()
    return out
