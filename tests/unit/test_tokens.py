"""Texts as the model sees them: counted as the tokenizer itself counts, whatever the script and the truncation."""

from __future__ import annotations

from functools import lru_cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from function.core.options import TRUNCATIONS, Truncation
from function.core.tokens import Encoder
from function.load import extras_of
from tests.support.paths import TWEETS
from vaccel_common.modelfile import Signature
from vaccel_rpc.tensors import to_values

KOREAN = "오늘은 날씨가 참 좋습니다 "
#: A piece of many scripts; Korean's letters and some accents are taken apart, and share a place in the text.
PIECES = [
    KOREAN,
    "좋다",
    "good morning ",
    "ὕδωρ ",
    "Việt Nam ",
    "שלום ",
    "नमस्ते ",
    "你好",
    "ﷺ",
    "ﬃ",
    "\u200b",
    "\x07",
    "👍🏽",
    "[SEP]",
    "e\u0301",
]
LENGTH = 24


@lru_cache
def tokenizer() -> tuple[bytes, Signature]:
    extras = extras_of(TWEETS)
    assert extras.tokenizer
    assert extras.signature
    return extras.tokenizer, extras.signature


@lru_cache
def untruncated() -> Tokenizer:
    plain = Tokenizer.from_buffer(tokenizer()[0])
    plain.no_truncation()
    return plain


def encoder(length: int | None = None) -> Encoder:
    data, signature = tokenizer()
    limited = Tokenizer.from_buffer(data)
    if length:
        limited.enable_truncation(length)
    return Encoder(limited, signature)


@lru_cache
def short() -> Encoder:
    return encoder(LENGTH)


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=6), max_size=40).map("".join), st.sampled_from(TRUNCATIONS))
def test_tokens_are_the_tokenizers(text: str, truncation: Truncation) -> None:
    """The whole text's, and those that the model sees: its beginning, its end, or windows that lose none."""
    ids = untruncated().encode(text).ids
    (encoded,) = short().encode([text], truncation)
    assert encoded.total == len(ids)
    assert encoded.truncated == (len(ids) > LENGTH and truncation != "window")
    assert encoded.tokens == (LENGTH if encoded.truncated else len(ids))
    assert encoded.blank == (len(ids) == 2)
    seen = [to_values(window[0])[1:-1] for window in encoded.windows]
    if truncation == "window":
        assert seen[0] + [token for window in seen[1:] for token in window[LENGTH // 4 :]] == ids[1:-1]
    else:
        assert seen == [ids[1:-1][2 - LENGTH :] if truncation == "tail" else ids[1:-1][: LENGTH - 2]]


@pytest.mark.parametrize("truncation", TRUNCATIONS)
def test_letters_that_share_a_place_are_counted_each(truncation: Truncation) -> None:
    """A Korean syllable is two or three tokens at one offset."""
    (encoded,) = encoder().encode([KOREAN * 20], truncation)
    assert encoded.total == len(untruncated().encode(KOREAN * 20).ids) == 382
    assert encoded.truncated == (truncation != "window")


def test_how_a_tokenizer_was_saved_does_not_matter() -> None:
    """Neither padding to a length, nor truncation of another direction or with a stride, changes what is seen."""
    saved = Tokenizer.from_buffer(tokenizer()[0])
    saved.enable_padding(length=LENGTH)
    saved.enable_truncation(LENGTH, stride=5, direction="left")
    texts = ["tea", "one two three four five " * 10]
    for truncation in TRUNCATIONS:
        assert Encoder(saved, tokenizer()[1]).encode(texts, truncation) == short().encode(texts, truncation)
