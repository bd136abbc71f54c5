"""The tokenizer of tweets, which goes into the model file."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Regex, Tokenizer, normalizers

#: What tweets carry and the label does not depend on: who is addressed, where a link leads, how a page escaped a character.
_RULES = (
    (r"https?://\S+", " http "),
    (r"&#\d+;", " "),
    (r"&amp;", "&"),
    (r"&lt;", "<"),
    (r"&gt;", ">"),
    (r"@\w+", "@user"),
)


def tweet_tokenizer(path: Path, max_length: int) -> Tokenizer:
    """The Hugging Face tokenizer in ``path`` with the tweet rules before its own normalizer.

    No padding (only the agent pads), truncation at ``max_length`` tokens, ``[CLS]`` and ``[SEP]`` included.
    """
    tokenizer: Tokenizer = Tokenizer.from_file(str(path))
    rules = [normalizers.Replace(Regex(pattern), text) for pattern, text in _RULES]
    tokenizer.normalizer = normalizers.Sequence([*rules, tokenizer.normalizer])
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    return tokenizer
