"""Texts to calibrate and compare with where there are no data: random words, and several scripts."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from tokenizers import Tokenizer
from torch import Tensor

#: What texts are of where a vocabulary has no words.
_WORDS = ("tea", "cake")


def made_up(tokenizer: Tokenizer, count: int, seed: int) -> list[str]:
    """``count`` texts of 1 to 60 random words; the same seed gives the same texts."""
    rng = random.Random(seed)
    words = sorted(word for word in tokenizer.get_vocab() if word.isalpha()) or list(_WORDS)
    return [" ".join(rng.choices(words, k=rng.randint(1, 60))) for _ in range(count)]


#: How many of the tokens that were added to a vocabulary are in the texts: of the first ones, and of the last ones.
_ADDED = 4

#: One text in each of several scripts, with what tokenizers treat in different ways: case, accents, digits, emoji, odd spaces.
SCRIPTS = (
    "The train was LATE again, and the tea was cold.", "what a lovely cake!!! :-) http://example.org @you #tea", "a",
    "Übermut tut selten gut, sagte die Bäckerin.", "El niño comió una piña en la montaña.", "Cafe\u0301 cre\u0300me, s'il vous plaît",
    "Сегодня хорошая погода, и мы идём в парк.", "Καλημέρα κόσμε", "שלום עולם", "مرحبا بالعالم", "नमस्ते दुनिया",
    "สวัสดีชาวโลก", "你好,世界!今天天气很好。", "こんにちは世界、カタカナも", "안녕하세요 세계", "🙂🎉👩‍👩‍👧 🇫🇷",
    "3.14159 + 2,718.28 = 1e3 % $5 €7", "two  spaces\ttab\nline", "...", "[CLS] [SEP] <s> </s> <pad>",
)  # fmt: skip


def untruncated(text: str) -> Tokenizer:
    """The tokenizer of a ``tokenizer.json``, which truncates nothing."""
    tokenizer = Tokenizer.from_str(text)
    tokenizer.no_truncation()
    return tokenizer


def varied(tokenizer: Tokenizer, longest: int) -> list[str]:
    """Texts in several scripts, with the tokenizer's own added tokens, and of random words, of one token up to more than ``longest``.

    Those in which the tokenizer sees no token are left out. They are in a fixed random order, so that
    batches of neighbours have different lengths.
    """
    rng = random.Random(0)
    words = sorted(word for word in tokenizer.get_vocab() if word.isalpha() and len(word) > 1) or list(_WORDS)
    lengths = [2**i for i in range(longest.bit_length())] + [longest - 1, longest, longest + longest // 4 + 8]
    texts = [*SCRIPTS, *_with_added(tokenizer), *(_of_length(tokenizer, words, length, rng) for length in lengths)]
    rng.shuffle(texts)
    return [text for text in texts if tokenizer.encode(text).ids] or texts


def _with_added(tokenizer: Tokenizer) -> list[str]:
    """Texts with the first tokens that were added to the vocabulary, special or not, and with the last ones."""
    added = [token.content for _, token in sorted(tokenizer.get_added_tokens_decoder().items())]
    chosen = list(dict.fromkeys([*added[:_ADDED], *added[-_ADDED:]]))
    return [f"a cup of{token} tea {token} was{token}" for token in chosen]


def _of_length(tokenizer: Tokenizer, words: Sequence[str], length: int, rng: random.Random) -> str:
    """A text of random words with at least ``length`` tokens."""
    chosen: list[str] = []
    # A tokenizer may see no token in a word: the number of words is bounded too.
    while not chosen or (len(chosen) < 2 * length and len(tokenizer.encode(" ".join(chosen)).ids) < length):
        chosen += rng.choices(words, k=1 + len(chosen) // 4)
    return " ".join(chosen)


def token_ids(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """The token ids of each text, without padding."""
    return [encoding.ids for encoding in tokenizer.encode_batch_fast(list(texts))]


def padded(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """``input_ids`` and ``attention_mask``, int64 [n, t], padded with 0 to the longest row."""
    longest = max(len(row) for row in rows)
    ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    return ids, mask
