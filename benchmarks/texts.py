"""The texts to classify: mild ones as long as real tweets, or those of a file; and the HTTP
messages that carry them.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

from function.cli.lines import read_file
from loadkit.http1 import post

#: Each is one token of the shipped model's tokenizer.
_WORDS = (
    *("the", "tea", "was", "warm", "and", "we", "walked", "along", "river", "until", "it", "rained", "then", "everybody"),
    *("went", "home", "to", "read", "a", "good", "book", "about", "birds", "that", "sing", "in", "old", "garden", "near"),
    *("station", "where", "train", "left", "late", "for", "summer", "music", "over", "bread", "with", "coffee"),
)
#: Real tweets have 39 tokens on average; a gamma distribution of this shape has their spread, and
#: the model sees at most 128.
MEAN, SHAPE, SHORTEST, LONGEST = 39.0, 3.0, 4, 128
#: The tokens that the tokenizer adds at the start and the end of a text.
_ENDS = 2


def tweet_lengths(count: int, seed: int = 1) -> list[int]:
    """Lengths in tokens, distributed like those of real tweets."""
    chance = random.Random(seed)
    return [min(LONGEST, max(SHORTEST, round(chance.gammavariate(SHAPE, MEAN / SHAPE)))) for _ in range(count)]


def generated(count: int, seed: int = 1) -> list[str]:
    """Mild texts with the lengths of `tweet_lengths`."""
    return [of_length(tokens, seed + number) for number, tokens in enumerate(tweet_lengths(count, seed))]


def of_length(tokens: int, seed: int) -> str:
    """A text of a number of tokens."""
    return " ".join(random.Random(seed).choices(_WORDS, k=max(1, tokens - _ENDS)))


def file_or_generated(file: Path | None, count: int) -> list[str]:
    """``count`` generated texts, or as many of a file's, in random order."""
    if file is None:
        return generated(count)
    texts = [text for text in read_file(file) if text.strip()]
    return random.Random(1).sample(texts, min(count, len(texts)))


def others(file: Path | None, measured: Sequence[str], count: int = 1300) -> list[str]:
    """Generated texts, or those of a file, that are not among the ``measured`` ones: what int8 forms
    are calibrated and compared on.
    """
    if file is None:
        return generated(count, 1 + len(measured))
    known = set(measured)
    texts = [text for text in dict.fromkeys(read_file(file)) if text.strip() and text not in known]
    return random.Random(2).sample(texts, min(count, len(texts)))


def mixed(texts: Sequence[str], longest: int) -> list[tuple[str, int]]:
    """All ``texts`` (kind 0), and one text of ``longest`` tokens (kind 1) for every nine of them,
    in random order.
    """
    both = [(text, 0) for text in texts] + [(of_length(longest, number), 1) for number in range(max(1, len(texts) // 9))]
    random.Random(1).shuffle(both)
    return both


def single(path: str, texts: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """An HTTP message for each text, with the text's kind."""
    return [(_post(path, {"text": text}), kind) for text, kind in texts]


def several(path: str, texts: Sequence[str], size: int) -> list[tuple[str, int]]:
    """HTTP messages of ``size`` texts each."""
    return [(_post(path, {"texts": list(texts[at : at + size])}), 0) for at in range(0, len(texts) - size + 1, size)]


def _post(path: str, body: object) -> str:
    return post(path, json.dumps(body).encode()).decode()
