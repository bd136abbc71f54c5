"""Texts as the model sees them: counted as the tokenizer itself counts, whatever the script and the truncation."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, processors

from function.core.options import TRUNCATIONS, Truncation
from function.core.texts import Pair, Text
from function.core.tokens import Encoded, Encoder
from function.load import extras_of
from tests.support.paths import TWEETS
from vaccel_common.modelfile import ModelFileError, Pairs, Signature, TensorSpec
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
    """Neither padding to a length, nor truncation with a stride or another direction, changes what a request asks for."""
    saved = Tokenizer.from_buffer(tokenizer()[0])
    saved.enable_padding(length=LENGTH)
    saved.enable_truncation(LENGTH, stride=5, direction="left")
    encoder = Encoder(saved, tokenizer()[1])
    texts = ["tea", "one two three four five " * 10]
    for truncation in TRUNCATIONS[1:]:
        assert encoder.encode(texts, truncation) == short().encode(texts, truncation)


@pytest.mark.parametrize(("direction", "side"), [("right", "head"), ("left", "tail")])
def test_a_tokenizers_side_is_how_texts_are_truncated_by_default(direction: str, side: Truncation) -> None:
    """As transformers does: truncation_side, which tokenizer.json keeps as the direction."""
    saved = Tokenizer.from_buffer(tokenizer()[0])
    saved.enable_truncation(LENGTH, direction=direction)
    encoder = Encoder(saved, tokenizer()[1])
    text = "one two three four five " * 10
    assert encoder.encode([text]) == encoder.encode([text], side) == short().encode([text], side)
    assert encoder.encode([text]) != short().encode([text], "tail" if side == "head" else "head")


def test_a_limit_without_room_for_a_text_is_refused() -> None:
    """The last limit that is refused, and the first that leaves room for one token."""
    with pytest.raises(ModelFileError, match="a text of 2 tokens has no room beside 2 special ones"):
        encoder(2)
    (encoded,) = encoder(3).encode(["one two three"])
    assert (encoded.tokens, encoded.total, encoded.truncated) == (3, 5, True)


#: How tokenizers put two texts together: word pieces' template, RoBERTa's processor, and a template that begins with the second text.
PROCESSORS = {
    "bert": None,
    "roberta": processors.RobertaProcessing(("[SEP]", 102), ("[CLS]", 101)),
    "joined": processors.TemplateProcessing("$A", "$A $B:1", []),
    "turned": processors.TemplateProcessing("$A [SEP]", "$B [SEP] $A:1 [CLS]:2", [("[SEP]", 102), ("[CLS]", 101)]),
}
SEGMENTS = TensorSpec("token_type_ids", "int64", ("n", "t"))


@lru_cache
def pair_encoder(processor: str, length: int) -> tuple[Encoder, dict[str, Tokenizer]]:
    """An encoder of pairs, and the library's own tokenizers that truncate as it should (``full``: not at all)."""
    data, signature = tokenizer()
    own = {}
    for name in ("full", "head", "tail", "encoder"):
        own[name] = Tokenizer.from_buffer(data)
        if PROCESSORS[processor] is not None:
            own[name].post_processor = PROCESSORS[processor]
        own[name].no_truncation()
        if name != "full":
            own[name].enable_truncation(length, direction="left" if name == "tail" else "right")
    return Encoder(own.pop("encoder"), replace(signature, inputs=(*signature.inputs, SEGMENTS))), own


def rows(encoded: Encoded) -> list[tuple[list[int], list[int]]]:
    """Token ids and segments of each run."""
    return [([int(i) for i in to_values(run[0])], [int(i) for i in to_values(run[2])]) for run in encoded.windows]


TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=6), max_size=30).map("".join)


@settings(deadline=None)
@given(TEXTS, TEXTS, st.sampled_from(TRUNCATIONS[1:3]), st.sampled_from(sorted(PROCESSORS)), st.integers(5, LENGTH))
def test_a_pair_is_truncated_as_the_library_truncates_it(
    text: str, other: str, truncation: Truncation, processor: str, length: int
) -> None:
    """The longer text first, at its end or its beginning, whatever stands between the two; token ids and segments."""
    encoder, own = pair_encoder(processor, length)
    (encoded,) = encoder.encode([Pair(text, other)], truncation)
    right, full = own[truncation].encode(text, other), own["full"].encode(text, other)
    assert rows(encoded) == [(right.ids, right.type_ids)]
    assert (encoded.tokens, encoded.total) == (len(right.ids), len(full.ids))
    assert encoded.truncated == (len(full.ids) > length)
    assert encoded.blank == (0 not in full.sequence_ids or 1 not in full.sequence_ids)


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from(sorted(PROCESSORS)), st.integers(5, LENGTH))
def test_windows_of_a_pair_have_the_shorter_text_whole(first: int, second: int, processor: str, length: int) -> None:
    """They lose no token of the longer one, and overlap; where neither text fits into half a window, there are none."""
    encoder, own = pair_encoder(processor, length)
    words = [" ".join(f"{kind}{i % 10}" for i in range(count)) for kind, count in (("a", first), ("b", second))]
    (encoded,) = encoder.encode([Pair(*words)], "window")
    whole = own["full"].encode(*words)
    room = length - own["full"].num_special_tokens_to_add(True)
    counts = [whole.sequence_ids.count(which) for which in (0, 1)]
    fits = sum(counts) <= room
    assert encoded.truncated == (not fits and min(counts) > room // 2)
    if encoded.truncated:
        assert [encoded] == encoder.encode([Pair(*words)], "head")
        return
    assert encoded.tokens == encoded.total == len(whole.ids)
    assert all(len(ids) <= length for ids, _ in rows(encoded))
    pieces = [ids for ids, _ in rows(encoded)]
    texts = [own["full"].encode(word, add_special_tokens=False).ids for word in words]
    short, long = sorted(texts, key=len)
    if not fits:
        assert all(any(ids[i : i + len(short)] == short for i in range(len(ids))) for ids in pieces)
        seen = [long[i : i + 2] for i in range(len(long) - 1)]
        assert all(any(two == ids[i : i + 2] for ids in pieces for i in range(len(ids))) for two in seen)


def test_texts_and_pairs_of_one_batch_are_each_as_alone() -> None:
    """Neither the order nor the company changes what a text or a pair is."""
    encoder, _ = pair_encoder("bert", LENGTH)
    mixed: list[Text] = ["tea", Pair("tea", "cake"), "tea " * 40, Pair("tea " * 40, "cake 🎉"), Pair("你好", "世界")]
    assert encoder.encode(mixed) == [encoder.encode([one])[0] for one in mixed]


def test_two_long_texts_take_time_by_their_length() -> None:
    """The library's own truncation would make each combination of their parts: of 10,000 tokens each, some 200,000."""
    encoder, _ = pair_encoder("bert", LENGTH)
    began = time.process_time()
    (encoded,) = encoder.encode([Pair("tea " * 10_000, "cake " * 10_000)])
    assert (encoded.total, encoded.tokens) == (20_003, LENGTH)
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("processor", "segments", "stated", "pairs"),
    [
        ("bert", True, None, "allowed"),
        ("bert", False, None, "refused"),
        ("bert", False, "allowed", "allowed"),
        ("bert", True, "required", "required"),
        ("bert", True, "refused", "refused"),
        ("roberta", False, None, "allowed"),
    ],
)
def test_whether_a_model_takes_pairs(processor: str, segments: bool, stated: Pairs | None, pairs: Pairs) -> None:
    """As its signature states; else where it sees what tells the second text from the first, if anything does."""
    data, signature = tokenizer()
    inputs = (*signature.inputs, SEGMENTS) if segments else signature.inputs
    own = Tokenizer.from_buffer(data)
    if PROCESSORS[processor] is not None:
        own.post_processor = PROCESSORS[processor]
    assert Encoder(own, replace(signature, inputs=inputs, pairs=stated)).pairs == pairs
